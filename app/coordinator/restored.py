"""What a store must be told that was restored from a backup, before anybody uses it."""

from coordinator.settings import Settings
from coordinator.store import open_store


async def settle(settings: Settings) -> None:
    """Let what was handed out after the backup count for nothing.

    Fencing tokens only grow: those that were given after the backup are unknown here and would be given again, so all
    of them rise to the clock's milliseconds, of which no item uses one a millisecond. Events come before all that
    follow, whatever the transactions of the store were that they come from.

    Raises:
        StoreUnavailableError: the store does not answer.
    """
    store = await open_store(settings, statement_seconds=None)
    try:
        async with store.transaction() as transaction:
            for query in (
                "raise_item_tokens",
                "raise_lock_tokens",
                "forget_webhook_transactions",
                "forget_transactions",
            ):
                await transaction.run(query)
    finally:
        await store.close()

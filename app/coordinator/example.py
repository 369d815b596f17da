"""A few work items to try things on, for a store that has none."""

from typing import Final

from coordinator import work
from coordinator.model import Priority, Submission
from coordinator.settings import Settings
from coordinator.store import open_store

_EXAMPLES: Final = (
    Submission(
        "review", "Review the pull request that adds retries", priority=Priority.HIGH, team="platform", points=3
    ),
    Submission("build", "Build the release candidate", team="platform", points=2),
    Submission("docs", "Write down how a lease ends", priority=Priority.LOW, team="writers"),
)


async def submit_examples(settings: Settings) -> None:
    """Submit the examples, unless there is any work already.

    Raises:
        StoreUnavailableError: the store does not answer.
    """
    store = await open_store(settings)
    try:
        async with store.transaction() as transaction:
            if not await transaction.rows("count_items"):
                for submission in _EXAMPLES:
                    await work.submit(transaction, submission)
    finally:
        await store.close()

"""Routes for operators: what is wrong, how this process is set up, who is told of events."""

from typing import Final
from urllib.parse import urlsplit, urlunsplit

from litestar import delete, get, post
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from litestar.types import ASGIApp

from coordinator import alerts, reports, webhooks
from coordinator.access import Role
from coordinator.api.requests import ROLE, Ask, Key, read, write
from coordinator.model import Configuration, NewWebhook, WebhookRequest, Webhooks

_OPERATOR: Final = {ROLE: Role.OPERATOR}


@get("/alerts")
async def get_alerts(state: State) -> alerts.Alerts:
    """What is wrong now, by the thresholds of the alerts."""
    return alerts.judge(await read(state, lambda transaction: reports.measure(transaction, state.settings.replicas)))


@get("/config", opt=_OPERATOR)
async def get_config(state: State) -> Configuration:
    """Settings of the process that answers."""
    settings = state.settings.model_dump(mode="json")
    url = urlsplit(settings["database_url"])
    # A password belongs into its file, but may stand in the address.
    if url.netloc:
        settings["database_url"] = urlunsplit(url._replace(netloc=_hide_password(url.netloc)))
    return Configuration({f"COORDINATOR_{name.upper()}": value for name, value in settings.items()})


@post("/webhooks", opt=_OPERATOR, responses={201: ResponseSpec(NewWebhook, description="The new webhook")})
async def add_webhook(request: Ask, data: JSONBody[WebhookRequest], key: Key = None) -> NewWebhook:
    """Tell events to a URL from now on, signed."""
    state = request.app.state
    once = None if key is None else f"{request.state.caller.token} {key}"
    return NewWebhook(*await webhooks.add(state.store, state.settings.webhook_key_file, data, once))


@get("/webhooks", opt=_OPERATOR)
async def list_webhooks(state: State) -> Webhooks:
    """List webhooks, and how they fare."""
    return Webhooks(await read(state, webhooks.list_webhooks))


@post("/webhooks/{id:str}/retry", opt=_OPERATOR, status_code=200)
async def retry_webhook(request: Ask, id: FromPath[str], key: Key = None) -> ASGIApp:  # noqa: A002
    """Try again at once a webhook that waits or was given up."""
    return await write(request, key, lambda transaction: webhooks.retry(transaction, id))


@delete("/webhooks/{id:str}", opt=_OPERATOR, status_code=200)
async def remove_webhook(request: Ask, id: FromPath[str], key: Key = None) -> ASGIApp:  # noqa: A002
    """Tell a URL no more."""
    return await write(request, key, lambda transaction: webhooks.remove(transaction, id))


def _hide_password(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    return f"{user.partition(':')[0]}{at}{host}"


ROUTES: Final = [get_alerts, get_config, add_webhook, list_webhooks, retry_webhook, remove_webhook]

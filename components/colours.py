"""Blue-green: which of two services is which, and whose version a deployment may change."""

import json
from collections.abc import Mapping
from typing import Final

from components.naming import Names
from components.settings import CoordinatorSettings

PARTS: Final = {"blue": "coordinator", "green": "coordinator-green"}
"""A stack without colours has the first one's service, and turns blue-green by having another one beside it."""
RELEASED_VARIABLE: Final = "BEAMOPS_RELEASED"
"""What the last deployment put out as `colours`, in JSON: `make up` and its kind set it."""


def coordinator_services(names: Names, settings: CoordinatorSettings) -> list[str]:
    """The full names of the services whose replicas are coordinators."""
    parts = PARTS.values() if settings.release == "blue-green" else [PARTS["blue"]]
    return [names.of(part) for part in parts]


def read_released(written: str | None) -> dict[str, str]:
    """The version of each colour, as the last deployment left it; empty where there was none."""
    return dict(json.loads(written)) if written else {}


def keep_versions(settings: CoordinatorSettings, version: str, released: Mapping[str, str]) -> list[str]:
    """The colours that go on with what they have, where they are there already.

    A new version goes to the colour that stands by, and the one that serves is not touched. When the one that serves
    has this version already nothing is new, and what stands by stays too: it is the way back.
    """
    return list(PARTS) if released.get(settings.active) == version else [settings.active]


def plan_versions(settings: CoordinatorSettings, version: str, released: Mapping[str, str]) -> dict[str, str]:
    """The version of each colour after this deployment, for the next one."""
    if settings.release == "rolling":
        return {}
    kept = keep_versions(settings, version, released)
    return {colour: released.get(colour, version) if colour in kept else version for colour in PARTS}

"""Blue-green: which of two services is which, and whose version a deployment may change."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from components.naming import Names
from components.settings import CoordinatorSettings

PARTS: Final = {"blue": "coordinator", "green": "coordinator-green"}
"""A stack without colours has the first one's service, and turns blue-green by having another one beside it."""
SWITCH: Final = "switch"
"""The job that lets a colour serve."""
RELEASED_VARIABLE: Final = "BEAMOPS_RELEASED"
"""A `Released` in JSON, from the stack's state: `make up` and its kind set it."""


@dataclass(frozen=True)
class Released:
    """What the last deployment left."""

    active: str | None = None
    """The colour that serves; None where there were no colours."""
    images: dict[str, str] = field(default_factory=dict)
    """What each colour runs."""
    pushed: dict[str, str] = field(default_factory=dict)
    """References of images in a registry, by the tag that is of their content."""

    def name_of(self, reference: str) -> str:
        """What an image of the engine here is called where it was pushed; the same where it was not."""
        return self.pushed.get(reference.rpartition(":")[2], reference)


def coordinator_services(names: Names, settings: CoordinatorSettings) -> list[str]:
    """The full names of the services whose replicas are coordinators."""
    parts = PARTS.values() if settings.release == "blue-green" else [PARTS["blue"]]
    return [names.of(part) for part in parts]


def find_released(resources: list[dict[str, Any]]) -> Released:
    """What the resources of a stack's state say."""
    found = {resource["urn"].rpartition("::")[2]: resource for resource in resources if "docker:" in resource["type"]}
    images = {
        colour: found[part]["outputs"]["taskSpec"]["containerSpec"]["image"]
        for colour, part in PARTS.items()
        if part in found and found[part]["type"] == "docker:index/service:Service" and "outputs" in found[part]
    }
    pushed = {
        resource["outputs"]["tag"]: resource["outputs"]["reference"]
        for resource in resources
        if resource["type"].endswith(":PushedImage") and "outputs" in resource
    }
    return Released(found.get(SWITCH, {}).get("inputs", {}).get("triggers", {}).get("active"), images, pushed)


def read_released(written: str | None) -> Released:
    """As `make up` handed it over; nothing where it did not."""
    return Released(**json.loads(written)) if written else Released()


def keep_versions(settings: CoordinatorSettings, image: str, released: Released) -> list[str]:
    """The colours that go on with the image that they have, where they are there already.

    A new version goes to the colour that stands by, and the one that serves is not touched. Where the one that serves
    has this version already nothing is new, and what stands by stays too: it is the way back. A switch changes no
    version: what is new comes with the next deployment.
    """
    switched = released.active is not None and released.active != settings.active
    nothing_new = released.images.get(settings.active) == image
    return list(PARTS) if switched or nothing_new else [settings.active]

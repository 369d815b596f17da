"""Blue-green: whose version a deployment changes, and whose it leaves alone."""

import json
from dataclasses import asdict

import pytest

from components.colours import Released, coordinator_services, find_released, keep_versions, read_released
from components.naming import Names
from components.settings import CoordinatorSettings

BLUE = CoordinatorSettings(release="blue-green")
GREEN = CoordinatorSettings(release="blue-green", active="green")


@pytest.mark.parametrize(
    ("story", "settings", "image", "released", "kept"),
    [
        ("nothing is there", BLUE, "1", Released(), ["blue"]),
        ("there were no colours", BLUE, "2", Released(None, {"blue": "1"}), ["blue"]),
        ("a new version goes to who stands by", BLUE, "2", Released("blue", {"blue": "1", "green": "1"}), ["blue"]),
        ("again, and nothing is new", BLUE, "2", Released("blue", {"blue": "1", "green": "2"}), ["blue"]),
        ("the switch changes no version", GREEN, "2", Released("blue", {"blue": "1", "green": "2"}), ["blue", "green"]),
        ("not even a new one", GREEN, "3", Released("blue", {"blue": "1", "green": "2"}), ["blue", "green"]),
        ("the way back stays", GREEN, "2", Released("green", {"blue": "1", "green": "2"}), ["blue", "green"]),
        ("the next goes to blue", GREEN, "3", Released("green", {"blue": "1", "green": "2"}), ["green"]),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_new_version_goes_to_who_stands_by(
    story: str, settings: CoordinatorSettings, image: str, released: Released, kept: list[str]
) -> None:
    assert keep_versions(settings, image, released) == kept, story


def test_what_runs_is_read_from_the_state() -> None:
    def resource(kind: str, name: str, **values: object) -> dict[str, object]:
        return {"type": kind, "urn": f"urn:pulumi:dev::beamops::{kind}::{name}", **values}

    def service(name: str, image: str) -> dict[str, object]:
        outputs = {"taskSpec": {"containerSpec": {"image": image}}}
        return resource("docker:index/service:Service", name, outputs=outputs)

    job = resource("pulumi-python:dynamic/docker:Job", "switch", inputs={"triggers": {"active": "green"}})
    image = resource("docker:index/remoteImage:RemoteImage", "database", outputs={})
    given = {"tag": "abc", "reference": "registry/coordinator@sha256:2"}
    pushed = resource("pulumi-python:dynamic/aws:PushedImage", "coordinator", outputs=given)
    resources = [service("coordinator", "1"), service("coordinator-green", "2"), job, image, pushed]
    released = find_released(resources)
    assert released == Released("green", {"blue": "1", "green": "2"}, {"abc": "registry/coordinator@sha256:2"})
    assert released.name_of("beamops/coordinator:abc") == "registry/coordinator@sha256:2"
    assert released.name_of("beamops/coordinator:new") == "beamops/coordinator:new"
    assert read_released(json.dumps(asdict(released))) == released
    assert find_released([service("coordinator", "1")]) == Released(None, {"blue": "1"})
    assert find_released([]) == read_released(None) == Released()


def test_a_stack_without_colours_has_blues_service() -> None:
    names = Names("x", "dev")
    assert coordinator_services(names, CoordinatorSettings()) == ["x-dev-coordinator"]
    assert coordinator_services(names, BLUE) == ["x-dev-coordinator", "x-dev-coordinator-green"]

"""Blue-green: whose version a deployment changes, and whose it leaves alone."""

import pytest

from components.colours import coordinator_services, keep_versions, plan_versions, read_released
from components.naming import Names
from components.settings import CoordinatorSettings

BLUE = CoordinatorSettings(release="blue-green")
GREEN = CoordinatorSettings(release="blue-green", active="green")


@pytest.mark.parametrize(
    ("story", "settings", "version", "released", "planned"),
    [
        ("nothing is there", BLUE, "1", {}, {"blue": "1", "green": "1"}),
        ("a new version goes to who stands by", BLUE, "2", {"blue": "1", "green": "1"}, {"blue": "1", "green": "2"}),
        ("again, and nothing is new", BLUE, "2", {"blue": "1", "green": "2"}, {"blue": "1", "green": "2"}),
        ("the switch changes no version", GREEN, "2", {"blue": "1", "green": "2"}, {"blue": "1", "green": "2"}),
        ("nor does the way back", BLUE, "2", {"blue": "1", "green": "2"}, {"blue": "1", "green": "2"}),
        ("the next goes to blue", GREEN, "3", {"blue": "1", "green": "2"}, {"blue": "3", "green": "2"}),
        ("there are no colours", CoordinatorSettings(), "3", {}, {}),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_new_version_goes_to_who_stands_by(
    story: str, settings: CoordinatorSettings, version: str, released: dict[str, str], planned: dict[str, str]
) -> None:
    assert plan_versions(settings, version, released) == planned, story


def test_the_one_that_serves_is_kept_whatever_is_known() -> None:
    assert keep_versions(BLUE, "2", {}) == ["blue"]
    assert keep_versions(GREEN, "3", {"blue": "1", "green": "2"}) == ["green"]
    assert keep_versions(GREEN, "2", {"blue": "1", "green": "2"}) == ["blue", "green"], "the way back"


def test_a_stack_without_colours_has_blues_service() -> None:
    names = Names("x", "dev")
    assert coordinator_services(names, CoordinatorSettings()) == ["x-dev-coordinator"]
    assert coordinator_services(names, BLUE) == ["x-dev-coordinator", "x-dev-coordinator-green"]


def test_what_was_released_is_read_where_there_is_something() -> None:
    assert read_released(None) == read_released("{}") == {}
    assert read_released('{"blue": "1"}') == {"blue": "1"}

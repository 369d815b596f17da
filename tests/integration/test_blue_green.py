"""Two versions side by side on a real swarm: a new one comes beside the old, the switch is one step, and so is back."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import docker
import httpx
import pytest

from cli.toolchain import Toolchain
from components.containers import Source
from components.engine import find_services
from tests.load import Load
from tests.reliability import keep
from tests.servers import free_port, wait_until_ready
from tests.user import User, copy_checkout
from tests.waiting import wait_until


@dataclass
class Sides:
    """A stack with a blue and a green coordinator."""

    user: User
    engine: docker.DockerClient

    def configure(self, active: str, **more: object) -> None:
        coordinator = {"release": "blue-green", "active": active, "replicas": 1, **more}
        self.user.configure(distribution={"proxy": {"port": self.user.port}, "coordinator": coordinator})

    def up(self) -> float:
        began = time.monotonic()
        code, said = self.user.run("up")
        assert code == 0, said
        return time.monotonic() - began

    @property
    def images(self) -> dict[str, str]:
        found = {}
        for colour, part in (("blue", "coordinator"), ("green", "coordinator-green")):
            (service,) = find_services(self.engine, f"{self.user.name}-dev-{part}")
            found[colour] = service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"].partition("@")[0]
        return found

    @property
    def serving(self) -> set[str | None]:
        """The colours that answered twenty requests."""
        url = f"http://127.0.0.1:{self.user.port}/v1/config"
        with httpx.Client(timeout=30) as client:
            return {client.get(url).json()["settings"]["COORDINATOR_COLOUR"] for _ in range(20)}

    def serves(self, colours: set[str | None]) -> bool:
        return self.serving == colours

    def change_version(self) -> None:
        """The next deployment is of another coordinator."""
        code = self.user.checkout / "app" / "coordinator" / "__init__.py"
        code.write_text(f"{code.read_text()}\n# {secrets.token_hex(8)}\n")


@pytest.fixture(scope="module")
def sides(
    engine: docker.DockerClient,
    source: Source,
    toolchain: Toolchain,  # noqa: ARG001 - built before it is timed
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Sides]:
    folder = tmp_path_factory.mktemp(secrets.token_hex(3))
    copy_checkout(folder / "checkout")
    sides = Sides(User(folder, source, free_port(), folder / "checkout"), engine)
    sides.configure("blue")
    try:
        sides.up()
        wait_until_ready(f"http://127.0.0.1:{sides.user.port}")
        yield sides
    finally:
        code, said = sides.user.run("down")
    assert code == 0, said


def test_a_new_version_comes_beside_serves_after_one_step_and_goes_back_in_one(sides: Sides) -> None:
    first = sides.images
    assert first["blue"] == first["green"] and sides.serving == {"blue"}
    sides.change_version()
    with Load(f"http://127.0.0.1:{sides.user.port}", per_second=50) as load:
        sides.up()
        both = sides.images
        assert both["blue"] == first["blue"] != both["green"], "the one that serves is not touched"
        assert sides.serving == {"blue"}
        for active in ("green", "blue", "green"):
            sides.configure(active)
            sides.change_version()  # what is new waits: a switch alone
            seconds = sides.up()
            assert sides.images == both, "a switch changes no version"
            wait_until(f"{active} does not serve alone; see its log", 60, partial(sides.serves, {active}))
            print(f"{active} serves: `make up` took {seconds:.1f} s")
    keep("blue-green, three switches", load.figures)
    assert not load.failures, load.report()
    sides.up()
    assert sides.images["green"] == both["green"] and sides.images["blue"] not in both.values(), "blue is the next"
    assert sides.serving == {"green"}


def test_who_stands_by_serves_while_the_other_is_gone(sides: Sides) -> None:
    (green,) = find_services(sides.engine, f"{sides.user.name}-dev-coordinator-green")
    green.scale(0)
    answers = (httpx.HTTPStatusError, KeyError, ValueError)
    seconds = wait_until("nobody serves in green's place", 60, partial(sides.serves, {"blue"}), answers)
    print(f"blue serves {seconds:.1f} s after green went")
    sides.up()
    wait_until("green does not serve alone again", 60, partial(sides.serves, {"green"}))


def test_a_setting_reaches_both_and_a_wrong_one_is_a_line(sides: Sides) -> None:
    before = sides.images
    sides.configure("green", memory_mib=300)
    sides.up()
    assert sides.images == before and sides.serving == {"green"}
    for part in ("coordinator", "coordinator-green"):
        (service,) = find_services(sides.engine, f"{sides.user.name}-dev-{part}")
        assert service.attrs["Spec"]["TaskTemplate"]["Resources"]["Limits"]["MemoryBytes"] == 300 * 1024 * 1024
    sides.user.configure(distribution={"coordinator": {"active": "green"}})
    assert "there are no colours; leave it out" in sides.user.refused("up")
    sides.configure("green")


def test_a_stack_leaves_its_colours_and_what_was_chosen_with_them(sides: Sides) -> None:
    port = {"port": sides.user.port}
    sides.user.configure(distribution={"proxy": port, "coordinator": {"replicas": 1}})
    sides.up()
    assert not find_services(sides.engine, f"{sides.user.name}-dev-coordinator-green")
    wait_until_ready(f"http://127.0.0.1:{sides.user.port}")
    assert sides.serving == {None}
    sides.configure("blue")
    sides.up()
    wait_until_ready(f"http://127.0.0.1:{sides.user.port}")
    wait_until("blue does not serve alone", 15, partial(sides.serves, {"blue"}))

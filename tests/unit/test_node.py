"""What the node's script works out, run by a shell."""

import re
import subprocess

import pytest

from tests.nodes import SCRIPT

ONE_ZONE = {"a": "z", "b": "z", "c": "z"}
TWO_ZONES = {"a": "x", "b": "y", "c": "y"}
THREE_ZONES = {"a": "x", "b": "y", "c": "z"}


def take(function: str) -> str:
    """A function of the script, by its name."""
    found = re.search(rf"^{function}\(\) \{{.*?^\}}", SCRIPT.read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"node.sh has no function `{function}`"
    return found[0]


def uneven(nodes: dict[str, str], replicas: str) -> bool:
    """The script's own function, on so many replicas: a letter each, the node that it runs on."""
    lines = [f"{node} {zone}" for node, zone in nodes.items()] + list(replicas)
    done = subprocess.run(
        ["sh", "-c", f"{take('uneven')}\nuneven"], input="\n".join(lines), text=True, capture_output=True, check=False
    )
    assert not done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.parametrize(
    ("nodes", "replicas", "moves"),
    [
        (ONE_ZONE, "abc", False),
        (ONE_ZONE, "aab", True),
        (ONE_ZONE, "aa", True),
        (ONE_ZONE, "aaabb", True),
        (ONE_ZONE, "aabbc", False),
        (THREE_ZONES, "aab", True),
        (THREE_ZONES, "abc", False),
        (TWO_ZONES, "ab", False),
        (TWO_ZONES, "aa", True),
        (TWO_ZONES, "bb", True),
        (TWO_ZONES, "aabc", False),
        (TWO_ZONES, "aaabbc", False),
        # The one that goes would be the new one, or one that is not too many.
        (TWO_ZONES, "bc", False),
        (TWO_ZONES, "abb", False),
        (TWO_ZONES, "aabb", False),
        (ONE_ZONE, "", False),
        (ONE_ZONE, "dd", False),
        ({}, "aa", False),
        # A node that has come counts with none.
        ({"a": "z"}, "aaa", False),
        ({"a": "z", "b": "z"}, "aaa", True),
    ],
)
def test_a_replica_moves_where_that_helps(nodes: dict[str, str], replicas: str, moves: bool) -> None:
    assert uneven(nodes, replicas) is moves


AROUND = """
say() { echo "$*"; }
docker() {
  case "$*" in
    "node ls --format"*) echo "n1 $status" ;;
    "node ls --filter"*) echo n1 ;;
    *Status.State*) echo "$status" | tr A-Z a-z ;;
    "node ps"*) printf '%b' "$tasks" ;;
  esac
}
aws() {
  case "$*" in
    *describe-auto-scaling-instances*) [ -z "$ending" ] || echo "i-1 group" ;;
    *Name=tag:beamops:node,Values=n1*) printf '%s' "$machine"; return "$refused" ;;
  esac
}
"""
"""What the script asks: one node, and what AWS says of its machine."""


def tidy(**around: str) -> str:
    known = {
        "status": "Ready",
        "tasks": "",
        "ending": "",
        "machine": "running",
        "refused": "0",
    }
    told = "".join(f"{name}='{value}'\n" for name, value in {**known, "BEAMOPS_STACK": "x", **around}.items())
    done = subprocess.run(
        ["sh", "-uc", f"{AROUND}{told}{take('tidy')}\ntidy"], text=True, capture_output=True, check=False
    )
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("tasks", ["Running 3 seconds ago\\n", "Shutdown 1 second ago\\nStarting 1 second ago\\n"])
def test_a_machine_that_is_to_end_is_waited_for_while_anything_on_it_still_ends(tasks: str) -> None:
    assert tidy(ending="yes", tasks=tasks) == ""


@pytest.mark.parametrize(
    ("status", "tasks"), [("Ready", "Shutdown 1 second ago\\n"), ("Ready", ""), ("Down", "Running 1 hour ago\\n")]
)
def test_a_machine_that_is_to_end_goes_when_nothing_is_on_it_or_nothing_is_heard_of_it(status: str, tasks: str) -> None:
    assert "let i-1 go" in tidy(ending="yes", status=status, tasks=tasks)


@pytest.mark.parametrize(
    ("around", "forgotten"),
    [
        ({"status": "Down", "machine": "terminated"}, True),
        ({"status": "Down", "machine": "running"}, False),
        ({"status": "Ready", "machine": "terminated"}, False),
        # It left and joined anew, or its join was cut off and came about by another id.
        ({"status": "Down", "machine": ""}, True),
        ({"status": "Down", "machine": "", "refused": "254"}, False),
        ({"status": "Ready", "machine": ""}, False),
    ],
)
def test_a_node_is_forgotten_when_its_machine_is_gone(around: dict[str, str], forgotten: bool) -> None:
    assert ("forgot" in tidy(**around)) is forgotten

"""What the node's script works out, run by a shell."""

import re
import subprocess

import pytest

from tests.nodes import SCRIPT

ONE_ZONE = {"a": "z", "b": "z", "c": "z"}
TWO_ZONES = {"a": "x", "b": "y", "c": "y"}
THREE_ZONES = {"a": "x", "b": "y", "c": "z"}


def uneven(nodes: dict[str, str], replicas: str) -> bool:
    """The script's own function, on so many replicas: a letter each, the node that it runs on."""
    function = re.search(r"^uneven\(\) \{.*?^\}", SCRIPT.read_text(), re.DOTALL | re.MULTILINE)
    assert function, "node.sh has no function `uneven`"
    lines = [f"{node} {zone}" for node, zone in nodes.items()] + list(replicas)
    done = subprocess.run(
        ["sh", "-c", f"{function[0]}\nuneven"], input="\n".join(lines), text=True, capture_output=True, check=False
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

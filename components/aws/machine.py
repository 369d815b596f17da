"""Machine types of AWS, by their names."""

import re
from typing import Final, Literal

Architecture = Literal["arm64", "x86_64"]
_GRAVITON: Final = re.compile(r"(a1|[a-z]+\d+g[a-z]*)\.")


def find_architecture(machine: str) -> Architecture:
    """The processor of a machine type.

    Args:
        machine: such as `t4g.medium`; families with a `g` after their generation have AWS's own processors (AWS:
            "Amazon EC2 instance type naming conventions").
    """
    return "arm64" if _GRAVITON.match(machine) else "x86_64"

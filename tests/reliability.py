"""What a run of agents met with, kept as figures: build/reliability.json, a key a scenario."""

import json
import os
from collections.abc import Mapping
from typing import Final

from components.containers import ROOT
from tests.agents import Agents

FULL: Final = os.environ.get("BEAMOPS_TESTS") == "all"
"""`make test-all`: a thousand agents for three minutes, and not a hundred for as long as it takes."""
AGENTS: Final = 1000 if FULL else 100
CYCLES_PER_SECOND: Final = 30 if FULL else 15


def keep(scenario: str, met: Mapping[str, float]) -> None:
    """Print a scenario's figures, and keep them."""
    print(f"{scenario}: {met}")
    file = ROOT / "build" / "reliability.json"
    file.parent.mkdir(exist_ok=True)
    kept = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**kept, scenario: met}, indent=2) + "\n")


def check_and_keep(scenario: str, agents: Agents, **figures: float) -> None:
    """Nothing failed, nothing was done twice, nothing is lost; and the figures are kept."""
    met = {**agents.report(), "items_lost": len(agents.find_lost()), **{k: round(v, 1) for k, v in figures.items()}}
    keep(scenario, met)
    assert met["items_completed"], "nothing was done: nothing is shown"
    assert not met["failed"], f"{scenario}: {met}; the first: {agents.failures[:5]}"
    assert not met["items_done_twice"], f"{scenario}: {met}; {agents.in_two_hands[:5]}"
    assert not met["items_lost"], f"{scenario}: {met}"

"""The policy pack: every rule as the engine runs it, at its level in the stack's environment, with its exemptions."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

# The engine starts a pack in its own folder.
sys.path.insert(0, str(Path(__file__).parents[1]))

from pulumi_policy import PolicyPack

from policies.pack import Exemptions, make_policies

PolicyPack("beamops", make_policies(os.environ.get("PULUMI_STACK", "dev"), Exemptions.read(datetime.now(UTC).date())))

"""Which Pulumi is used: the official one where it can have its plugins, and what a real account needs of it."""

from pathlib import Path

import pytest

from cli.console import StopError
from cli.toolchain import Toolchain, check_aws_plugin, ensure_toolchain

FETCHES = """#!/bin/sh
# As much of the command line as is asked: no plugin is there, and each can be fetched.
case "$1 $2" in
  "plugin ls") echo '[]' ;;
  "plugin install") echo "$4 $5" >>"$(dirname "$0")/fetched" ;;
  *) exit 1 ;;
esac
"""


def test_the_official_one_fetches_the_plugins_that_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(FETCHES)
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert ensure_toolchain() == Toolchain(pulumi, {})
    assert (tmp_path / "fetched").read_text().split() == ["docker", "5.2.0", "random", "4.21.4"]


def test_one_that_was_built_here_reaches_no_account_without_the_plugin(tmp_path: Path) -> None:
    with pytest.raises(
        StopError, match=r"needs Pulumi's AWS plugin .* or try the stack on this machine with AWS=emulated"
    ):
        check_aws_plugin(Toolchain(tmp_path / "pulumi", {"PULUMI_HOME": str(tmp_path)}))
    check_aws_plugin(Toolchain(tmp_path / "pulumi", {}))

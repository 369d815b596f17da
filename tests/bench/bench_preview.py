"""A preview of prod, with all its chapters, against one of as many plain resources: `make bench` runs this."""

import statistics
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from cli.emulator import ensure_emulator, stop_emulator
from cli.stack import Stack, load_settings
from cli.toolchain import Toolchain, add_stand_in
from components.containers import ROOT, Source
from components.engine import engine_host
from components.settings import IMAGES_VARIABLE, STACK_FILE_VARIABLE
from tests.bench.bench_coordinator import keep
from tests.servers import free_port

TURNS, TIMES = 5, 2
PLAIN = """\
import pulumi
import pulumi_aws as aws

endpoints = [aws.ProviderEndpointArgs(sts={endpoint!r}, ec2={endpoint!r})]
account = aws.Provider("aws", region="eu-central-1", access_key="x", secret_key="x", endpoints=endpoints)
for number in range({count}):
    aws.ec2.Vpc(
        f"vpc-{{number}}",
        cidr_block="10.0.0.0/16",
        tags={{"Name": str(number)}},
        opts=pulumi.ResourceOptions(provider=account),
    )
"""


# The emulator outlives the object that started it, here as in the command line.
@pytest.mark.filterwarnings("ignore:.*Popen.__del__:pytest.PytestUnraisableExceptionWarning")
def test_a_preview_of_prod_against_plain_resources(
    tmp_path: Path, source: Source, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of nothing that is there yet, in turns, by the same command in the same engine."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv(IMAGES_VARIABLE, source)
    content = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())
    content["config"]["beamops:plan"]["name"] = "tbench"
    content["config"]["beamops:distribution"] = {"proxy": {"port": free_port()}}
    (file := tmp_path / "Pulumi.prod.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setenv(STACK_FILE_VARIABLE, str(file))
    settings = load_settings("prod", emulated=True)
    emulator = ensure_emulator("prod", settings.production, settings.network.region)
    try:
        stack = Stack("prod", settings, add_stand_in(toolchain), engine_host(None), emulator)
        program = [str(stack._toolchain.program), "preview", "--config-file"]

        def preview(folder: Path, *arguments: str) -> tuple[float, int]:
            begin = time.monotonic()
            done = subprocess.run(
                [*program, *arguments], cwd=folder, env=stack._environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            summary = done.stdout.rpartition("+ ")[2]
            return time.monotonic() - begin, int(summary.split()[0])

        _, count = preview(ROOT, str(stack._config), "--stack", "prod")
        plain = tmp_path / "plain"
        plain.mkdir()
        # The stack and the provider count too.
        (plain / "__main__.py").write_text(PLAIN.format(endpoint=emulator.endpoint, count=count - 2))
        runtime = {"name": "python", "options": {"virtualenv": str(ROOT / ".venv")}}
        (plain / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "plain", "runtime": runtime}))
        stack._ask("stack", "select", "plain", "--create", folder=plain)
        config = str(plain / "Pulumi.plain.yaml")
        assert preview(plain, config, "--stack", "plain")[1] == count, "as many resources on either side"
        seconds = [
            (preview(ROOT, str(stack._config), "--stack", "prod")[0], preview(plain, config, "--stack", "plain")[0])
            for _ in range(TURNS)
        ]
    finally:
        stop_emulator("prod")
    own, other = (statistics.median(one) for one in zip(*seconds, strict=True))
    print(f"{count} resources: prod {own:.1f} s, plain {other:.1f} s")
    keep(preview_vs_plain=round(own / other, 2))
    assert own / other <= TIMES, seconds

"""A preview of prod, with all its chapters, against one of as many plain resources and one without the rules."""

import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from cli.emulator import ensure_emulator, stop_emulator
from cli.stack import POLICIES, Stack, load_settings
from cli.toolchain import Toolchain, add_stand_in
from components.containers import ROOT, Source
from components.engine import engine_host
from components.settings import ENDPOINT_VARIABLE, IMAGES_VARIABLE, STACK_FILE_VARIABLE
from tests.bench.bench_coordinator import keep
from tests.servers import free_port

TURNS, PLAIN_RATIO, POLICY_RATIO = 5, 2, 1.5
# The emulator outlives the object that started it, here as in the command line.
pytestmark = pytest.mark.filterwarnings("ignore:.*Popen.__del__:pytest.PytestUnraisableExceptionWarning")
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


@pytest.fixture
def prod(tmp_path: Path, source: Source, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Of which nothing is there yet, in an emulated account of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv(IMAGES_VARIABLE, source)
    content = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())
    content["config"]["beamops:plan"]["name"] = "tbench"
    content["config"]["beamops:distribution"] = {"proxy": {"port": free_port()}}
    (file := tmp_path / "Pulumi.prod.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setenv(STACK_FILE_VARIABLE, str(file))
    settings = load_settings("prod", emulated=True)
    emulator = ensure_emulator("prod", settings.production, settings.network.region)
    yield Stack("prod", settings, add_stand_in(toolchain), engine_host(None), emulator)
    stop_emulator("prod")


def preview(stack: Stack, folder: Path, *arguments: str) -> int:
    """How many resources are to be created."""
    done = subprocess.run(
        [str(stack._toolchain.program), "preview", *arguments],
        cwd=folder, env=stack._environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.partition("Resources:")[2].split()[1])


def compare(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """The medians of their times, in seconds, taken in turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(TURNS):
        for run, taken in zip((one, other), seconds, strict=True):
            begin = time.monotonic()
            run()
            taken.append(time.monotonic() - begin)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def test_a_preview_of_prod_against_plain_resources(prod: Stack, tmp_path: Path) -> None:
    own = ("--config-file", str(prod._config), "--stack", "prod")
    count = preview(prod, ROOT, *own)
    plain = tmp_path / "plain"
    plain.mkdir()
    # The stack and the provider count too.
    program = PLAIN.format(endpoint=prod._environment[ENDPOINT_VARIABLE], count=count - 2)
    (plain / "__main__.py").write_text(program)
    runtime = {"name": "python", "options": {"virtualenv": str(ROOT / ".venv")}}
    (plain / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "plain", "runtime": runtime}))
    prod._ask("stack", "select", "plain", "--create", folder=plain)
    assert preview(prod, plain, "--stack", "plain") == count, "as many resources on either side"
    chapters, resources = compare(lambda: preview(prod, ROOT, *own), lambda: preview(prod, plain, "--stack", "plain"))
    print(f"{count} resources: prod {chapters:.1f} s, plain {resources:.1f} s")
    keep(preview_vs_plain=round(chapters / resources, 2))
    assert chapters / resources <= PLAIN_RATIO


def test_a_preview_with_the_rules_against_one_without(prod: Stack) -> None:
    own = ("--config-file", str(prod._config), "--stack", "prod")
    judged, bare = compare(
        lambda: preview(prod, ROOT, *own, "--policy-pack", str(POLICIES)), lambda: preview(prod, ROOT, *own)
    )
    print(f"with the rules {judged:.1f} s, without {bare:.1f} s")
    keep(policy_preview_ratio=round(judged / bare, 2))
    assert judged / bare <= POLICY_RATIO

"""Staging on five machines, brought up once for all tests of this folder; the last of them takes it down."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from cli.images import ensure_images
from cli.stack import load_settings
from cli.toolchain import Toolchain
from tests.site import MANAGERS, WORKERS, Site, make_site

WHY = "this machine's kernel lacks the cipher"


@pytest.fixture(scope="package")
def site(
    engine: docker.DockerClient,
    toolchain: Toolchain,  # noqa: ARG001 - built before anything waits for it
    request: pytest.FixtureRequest,
) -> Iterator[Site]:
    ensure_images(load_settings("dev"), "build")
    folder = Path("/tmp") / f"bo-{secrets.token_hex(3)}"  # noqa: S108
    with make_site(folder, engine) as site:
        exempt = [
            {"rule": "overlays-encrypted", "resource": network, "reason": WHY, "expires": "9999-12-31"}
            for network in ("app", "data", "edge", "engine", "observability")
        ]
        given: dict[str, dict[str, Any]] = {
            "plan": {"name": site.name, "monthly_budget_usd": 2000},
            "network": {"encrypted_overlays": False},
            "production": {
                "domain": "work.example.com",
                "hosted_zone": "example.com",
                "managers": MANAGERS,
                "manager_type": "t3a.medium",
                "worker_type": "t3a.large",
                "database": {"authorities": str(site.folder / "certificates" / "ca.pem")},
            },
            "autoscaling": {"minimum": WORKERS},
            "policies": {"exemptions": exempt},
        }
        content = {"config": {f"beamops:{key}": value for key, value in given.items()}}
        site.stack_file.write_text(yaml.safe_dump(content))
        yield site
    if not request.session.testsfailed:  # else what machines logged is read there
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def token(site: Site) -> str:
    """Staging is up, and somebody may ask it."""
    site.call("up")
    return site.call("token", "ada", "agent").strip()


@pytest.fixture(scope="package")
def operator(site: Site, token: str) -> str:  # noqa: ARG001 - staging is up
    return site.call("token", "simulation", "operator").strip()

"""The Pulumi toolchain: the official one where it is installed and has its plugins, else built from toolchain/."""

import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from cli.console import StopError, step
from cli.go import go
from cli.places import cache_folder
from components.containers import ROOT
from components.naming import digest_files, list_sources

SOURCES: Final = ROOT / "toolchain"
PLUGINS: Final = ("docker", "random")
_PARTS: Final = ("cli", "language-host", *(f"plugin-{name}" for name in PLUGINS))
"""What is built of toolchain/; the stand-in for AWS beside it is Python, and runs as it is."""
_SDK: Final = "github.com/pulumi/pulumi/sdk/v3"
_UPSTREAM: Final = "github.com/terraform-providers/terraform-provider-docker"
_VERSION_FLAG: Final = f"-X {_SDK}/go/common/version.Version=v{version('pulumi')}"


@dataclass(frozen=True)
class Toolchain:
    """A `pulumi` that works, and what its environment needs."""

    program: Path
    environment: dict[str, str]


def ensure_toolchain() -> Toolchain:
    """Find the official toolchain, or the one built before, or build it.

    Raises:
        StopError: it has to be built and cannot be.
    """
    official = shutil.which("pulumi")
    if official and all(_has_plugins(official, name) or _fetch_plugin(official, name) for name in PLUGINS):
        return Toolchain(Path(official), {})
    sources = [file for part in _PARTS for file in list_sources(SOURCES / part)]
    key = digest_files(SOURCES, sources, version("pulumi"), platform.machine())[:16]
    folder = cache_folder() / f"toolchain-{key}"
    if not folder.exists():
        missing = [tool for tool in ("go", "git") if shutil.which(tool) is None]
        if missing:
            raise StopError(
                f"no Pulumi with its docker and random plugins is on PATH, and no {' and no '.join(missing)} to build "
                "them with; install one of the two"
            )
        with step("Building Pulumi, once: command line, language host, docker and random plugins (about 8 min)"):
            _build(folder)
    return Toolchain(
        folder / "bin" / "pulumi",
        {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        },
    )


def add_stand_in(toolchain: Toolchain) -> Toolchain:
    """The toolchain with a plugin for AWS: the official one where it is installed, else the stand-in.

    The stand-in has a PULUMI_HOME of its own, so that it never shadows the official plugin.
    """
    # One that was built here has a home of its own, without it.
    if not toolchain.environment and _has_plugins(str(toolchain.program), "aws"):
        return toolchain
    plugin = f"resource-aws-v{version('pulumi-aws')}"
    home = Path(toolchain.environment.get("PULUMI_HOME") or os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    starter = (
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m toolchain.plugin_aws\n"
    )
    key = hashlib.sha256(f"{home}{plugin}{starter}".encode()).hexdigest()[:16]
    emulated = cache_folder() / f"home-emulated-{key}"
    if not emulated.exists():
        with tempfile.TemporaryDirectory(dir=emulated.parent, prefix="building-") as scratch:
            plugins = Path(scratch) / "home" / "plugins"
            (plugins / plugin).mkdir(parents=True)
            # Pulumi looks into folders alone, not into links to them.
            for found in (home / "plugins").glob("resource-*/*"):
                (plugins / found.parent.name).mkdir(exist_ok=True)
                (plugins / found.parent.name / found.name).symlink_to(found)
            program = plugins / plugin / "pulumi-resource-aws"
            program.write_text(starter)
            program.chmod(0o755)
            plugins.parent.rename(emulated)
    return Toolchain(toolchain.program, {**toolchain.environment, "PULUMI_HOME": str(emulated)})


def check_aws_plugin(toolchain: Toolchain) -> None:
    """Make sure that a real account can be reached: the official Pulumi fetches the plugin, the one built here cannot.

    Raises:
        StopError: there is none.
    """
    home, plugin = toolchain.environment.get("PULUMI_HOME"), f"resource-aws-v{version('pulumi-aws')}"
    if home is not None and not (Path(home) / "plugins" / plugin).exists():
        raise StopError(
            f"a real account needs Pulumi's AWS plugin ({plugin}), and none is here: put the official `pulumi` on "
            "PATH, or try the stack on this machine with AWS=emulated"
        )


def _has_plugins(pulumi: str, *names: str) -> bool:
    listed = subprocess.run([pulumi, "plugin", "ls", "--json"], capture_output=True, text=True, check=False)
    if listed.returncode:
        return False
    present = {(plugin["name"], plugin["version"]) for plugin in json.loads(listed.stdout)}
    return all((name, version(f"pulumi-{name}")) in present for name in names)


def _fetch_plugin(pulumi: str, name: str) -> bool:
    command = [pulumi, "plugin", "install", "resource", name, version(f"pulumi-{name}")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _build(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as scratch:
        sources, made = Path(scratch) / "sources", Path(scratch) / "made"
        for part in _PARTS:
            shutil.copytree(SOURCES / part, sources / part)
        binaries = made / "bin"
        binaries.mkdir(parents=True)

        def build_cli() -> None:
            flags = ["-ldflags", f"-s -w {_VERSION_FLAG}", "-o", str(binaries / "pulumi")]
            go(sources / "cli", "command line", "build", *flags, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi")

        def build_host() -> None:
            host = sources / "language-host"
            flags = ["-ldflags", f"-s -w {_VERSION_FLAG}", "-o", str(binaries / "pulumi-language-python")]
            go(host, "language host", "build", *flags, ".")
            sdk = Path(go(host, "", "list", "-m", "-f", "{{.Dir}}", _SDK).strip())
            for script in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
                target = binaries / Path(script).name
                shutil.copyfile(sdk / script, target)
                target.chmod(0o755)

        def build_plugin(name: str) -> None:
            source = sources / f"plugin-{name}"
            tags = ["-tags", "no_compose"] if name == "docker" else []
            for patch in sorted(source.glob("patches/*.patch")):
                _patch_upstream(source, patch)
            schema = go(source, f"{name} plugin's schema", "run", *tags, "./gen")
            (source / "schema.json").write_text(schema)
            target = made / "home" / "plugins" / f"resource-{name}-v{version(f'pulumi-{name}')}"
            binary = str(target / f"pulumi-resource-{name}")
            go(source, f"{name} plugin", "build", *tags, "-ldflags", "-s -w", "-o", binary, ".")

        def build_plugins() -> None:
            for name in PLUGINS:
                build_plugin(name)

        # Two at a time: the plugins share most of what they compile, and so go one after the other.
        with ThreadPoolExecutor(2) as pool:
            for work in [pool.submit(build_cli), pool.submit(build_plugins), pool.submit(build_host)]:
                work.result()
        made.rename(folder)


def _patch_upstream(source: Path, patch: Path) -> None:
    """Build a plugin from a changed copy of the provider that it bridges."""
    copy = source.parent / "upstream"
    if not copy.exists():
        found = json.loads(go(source, "", "mod", "download", "-json", _UPSTREAM))
        # The cache of modules can be read only.
        shutil.copytree(found["Dir"], copy, copy_function=shutil.copyfile)
        for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        go(source, "", "mod", "edit", f"-replace={_UPSTREAM}={copy}")
    command = ["git", "apply", "--unidiff-zero", str(patch)]
    # Whatever repository the cache may lie in, this is none of it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_CEILING_DIRECTORIES"] = str(copy.parent)
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StopError(
            f"{patch.name} does not fit the provider that toolchain/{source.name}/go.mod names: {done.stderr}"
        )

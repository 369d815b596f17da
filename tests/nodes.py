"""Five real engines on one machine, each in a network namespace of its own: what tests of the swarm stand on.

Everything that is made carries the test's own prefix and is ended by its own process id. No namespace has a default
route: what is sent stays on the bridge between them and the host's end of it.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
import psutil

from components.containers import ROOT
from components.engine import SOCKET_GROUP, connect
from tests.aws import REGION, SIGNED_IN

SCRIPT = ROOT / "components" / "aws" / "node.sh"
NETWORK = "10.77.0"
HOST = f"{NETWORK}.254"
_START = """
d=$1; hostname "$2"
mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /etc/docker
mkdir -p /run/docker "$d/data" /var/lib/docker; mount --bind "$d/data" /var/lib/docker
rm -f "$d/docker.pid" "$d/docker.sock"
exec docker-init -s -- dockerd --exec-root /run/docker --pidfile "$d/docker.pid" \
  -H "unix://$d/docker.sock" -H unix:///run/docker.sock -G "$4" \
  --cgroup-parent "/$2" --userland-proxy=false --log-level warn --dns "$3"
"""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def remove_left() -> None:
    """Remove what a run left that was killed: on its address nothing else can be reached."""
    for name in _list_namespaces():
        made = re.fullmatch(r"(bo([0-9a-f]+))-fab", name)
        if made and not psutil.pid_exists(int(made[2], 16)):
            _remove(made[1])


def _remove(prefix: str) -> None:
    """Remove the namespaces and the link of that prefix, and end what runs there."""
    subprocess.run(["ip", "link", "del", f"{prefix}-host"], check=False, capture_output=True)
    # The bridge's own is last: a removal that is cut off is begun anew.
    for name in sorted(_list_namespaces(), reverse=True):
        if name.startswith(f"{prefix}-"):
            for process in run("ip", "netns", "pids", name).split():
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            run("ip", "netns", "del", name)


def _list_namespaces() -> list[str]:
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines()]


@dataclass
class Node:
    """An engine with an address of its own."""

    number: int
    name: str
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def engine(self) -> str:
        return f"unix://{self.folder / 'docker.sock'}"

    def start(self) -> None:
        """Start the engine, and wait until it answers. A PID namespace takes its containers along when it is killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            "nsenter",
            f"--net=/run/netns/{self.name}",
            "unshare",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
        ]
        command += ["--kill-child", "--mount-proc", "--propagation", "private"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "bash", "-c", _START, "_", str(self.folder), self.name, HOST, str(SOCKET_GROUP)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        # One that finds no swarm waits twenty seconds for it before it answers.
        end = time.monotonic() + 120
        while not self.answers():
            assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def answers(self) -> bool:
        done = subprocess.run(["docker", "-H", self.engine, "version"], capture_output=True, check=False)
        return done.returncode == 0

    def tell(self) -> str:
        """What this node knows of the swarm, for whoever reads why a test failed."""
        asked = (["node", "ls"], ["service", "ls"])
        answers = [
            subprocess.run(["docker", "-H", self.engine, *words], capture_output=True, text=True, check=False)
            for words in asked
        ]
        return f"{self.name}:\n" + "".join(answer.stdout + answer.stderr for answer in answers)

    def kill(self) -> None:
        """Power it off: by its own process id."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        self.process = None

    def script_environment(self, url: str, stack: str, role: str, instance: str) -> dict[str, str]:
        """What the node's script is told when it starts, of an AWS API at that address."""
        return {
            **SIGNED_IN,
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_PAGER": "",
            "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "BEAMOPS_ROLE": role,
            "BEAMOPS_STACK": stack,
            "BEAMOPS_KEY": f"alias/{stack}",
            "BEAMOPS_METRICS": ":4000/metrics",
            "BEAMOPS_MANAGERS": "apart",
            "BEAMOPS_INSTANCE": instance,
            "BEAMOPS_ADDRESS": self.address,
            "BEAMOPS_NOTE": str(self.folder / "swarm"),
        }

    def client(self) -> AbstractContextManager[docker.DockerClient]:
        return connect(self.engine, 60)

    def inside(self, *command: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
        """Run a program on this node: in its network, with its engine."""
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.name}", *command],
            env={**os.environ, **environment, "DOCKER_HOST": self.engine},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@dataclass
class Nodes:
    """So many nodes on one bridge, and the host on it at `HOST`."""

    folder: Path
    count: int = 5
    prefix: str = field(default_factory=lambda: f"bo{os.getpid():x}")
    """Of all names: by the process that made them a later one knows what was left."""

    def __enter__(self) -> Self:
        self._opened = ExitStack()
        self._opened.enter_context(self.bridge())
        self.make()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @contextmanager
    def bridge(self) -> Iterator[None]:
        """The bridge, with the host on it, and at the end nothing of it nor of the nodes that were made."""
        remove_left()
        fabric = f"{self.prefix}-fab"
        self.nodes: list[Node] = []
        # The bridge has a namespace of its own, so that the host's firewall does not touch it.
        run("ip", "netns", "add", fabric)
        run("ip", "-n", fabric, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", fabric, "link", "set", "br0", "up")
        run("ip", "link", "add", f"{self.prefix}-host", "type", "veth", "peer", "name", "h0", "netns", fabric)
        run("ip", "-n", fabric, "link", "set", "h0", "master", "br0", "up")
        run("ip", "addr", "add", f"{HOST}/24", "dev", f"{self.prefix}-host")
        run("ip", "link", "set", f"{self.prefix}-host", "up")
        try:
            yield
        finally:
            for node in self.nodes:
                node.kill()
            _remove(self.prefix)
            shutil.rmtree(self.folder, ignore_errors=True)

    def make(self) -> None:
        """Make the nodes, and start their engines."""
        self.nodes = [self._make(number, f"{self.prefix}-fab") for number in range(1, self.count + 1)]
        for node in self.nodes:
            node.start()

    def _make(self, number: int, fabric: str) -> Node:
        node = Node(number, f"{self.prefix}-n{number}", self.folder / f"n{number}")
        run("ip", "netns", "add", node.name)
        run("ip", "-n", fabric, "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", node.name)
        run("ip", "-n", fabric, "link", "set", f"v{number}", "master", "br0", "up")
        run("ip", "-n", node.name, "link", "set", "lo", "up")
        run("ip", "-n", node.name, "addr", "add", f"{node.address}/24", "dev", "eth0")
        run("ip", "-n", node.name, "link", "set", "eth0", "up")
        return node

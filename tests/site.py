"""An AWS account on this machine that has machines: five nodes on a bridge, and what AWS has around them.

moto answers for AWS. What it only notes down is here for real: machines are engines in network namespaces that run
the node's own script; ECR is a registry, which moto is told to name; RDS is PostgreSQL with TLS; Session Manager is a
script in its plugin's place that connects with the machine. A name server leads RDS's names to the bridge alone.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import docker
import httpx
import yaml
from docker.models.containers import Container

from cli.commands import install
from cli.places import cache_folder
from components import catalogue
from components.aws.session import ensure_key
from components.containers import ROOT, built_reference
from components.engine import EngineError, find_container, find_services, run_in
from tests.aws import REGION, SIGNED_IN, ask
from tests.images import ensure_image
from tests.nodes import HOST, SCRIPT, Node, Nodes, run
from tests.servers import free_port
from tests.waiting import wait_until

MANAGERS, WORKERS = 3, 2
MEANWHILE = (docker.errors.APIError, EngineError, OSError, AssertionError, httpx.HTTPError)
"""Managers, sessions and coordinators come and go: what does not answer is asked again."""
_HEARD_SECONDS = 30
"""Nodes tell every two seconds here; what was not told for so long is over."""
_SUBJECTS = f"DNS:*.aaaaaaaaaa.{REGION}.rds.amazonaws.com"
_PLUGIN = """#!{python} -P
# What the AWS CLI hands a session to: here a connection with the machine's address on the test's own bridge.
import json, os, pathlib, socket, sys, threading
if sys.argv[1:] == ["--version"]:
    sys.exit(print("1.2.707.0"))
target = json.loads(sys.argv[5])["Target"]
address = pathlib.Path("{folder}/machines", target).read_text().split()[0]
beyond = socket.create_connection((address, 22))
def send():
    while data := os.read(0, 65536):
        beyond.sendall(data)
    beyond.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := beyond.recv(65536):
    while data:
        data = data[os.write(1, data):]
"""

_COMMAND = """
import sys
from cli.__main__ import main
import cli.__main__ as command
from cli.toolchain import add_stand_in
made = command.ensure_toolchain
command.ensure_toolchain = lambda: add_stand_in(made())
main()
"""
"""The command line, with the stand-in where the official AWS plugin is missing."""


@contextmanager
def process(*command: str, log: Path, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as said:
        begun = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ, **variables},
            start_new_session=True,
        )  # fmt: skip
    try:
        yield begun
    finally:
        if begun.poll() is None:
            os.killpg(begun.pid, signal.SIGTERM)
        begun.wait(30)


def make_certificates(folder: Path) -> None:
    """An authority of the test's own, and a certificate of it for what has names of AWS."""
    authority = ["-subj", "/CN=Test authority", "-addext", "basicConstraints=critical,CA:TRUE"]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    new += ["-days", "2"]
    run(*new, *authority, "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")
    signed = ["-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-addext", f"subjectAltName={_SUBJECTS}"]
    run(*new, "-subj", "/CN=server", *signed, "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.pem")
    os.chown(folder / "server.key", 999, 999)


def find_registry() -> Path:
    """Debian's registry, unpacked and not installed: installing would start it."""
    folder = cache_folder() / "docker-registry"
    if not folder.exists():
        scratch = folder.with_name(f"part-{os.getpid()}-docker-registry")
        scratch.mkdir()
        subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
        subprocess.run(["apt-get", "download", "docker-registry"], check=True, capture_output=True, cwd=scratch)
        run("dpkg-deb", "-x", str(next(scratch.glob("*.deb"))), str(scratch))
        scratch.rename(folder)
    return folder / "usr" / "bin" / "docker-registry"


@dataclass
class Site:
    """The account and its machines."""

    folder: Path
    endpoint: str
    """Of the AWS API, for this machine; `inside` is for the nodes."""
    inside: str
    registry: int
    nodes: Nodes
    engine: docker.DockerClient
    stop: ExitStack
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(3)}")
    database: Container | None = None
    """PostgreSQL, once it runs."""

    @property
    def stack(self) -> str:
        return f"{self.name}-staging"

    @property
    def stack_file(self) -> Path:
        return self.folder / "Pulumi.staging.yaml"

    @property
    def managers(self) -> list[Node]:
        return self.nodes.nodes[:MANAGERS]

    @property
    def workers(self) -> list[Node]:
        return self.nodes.nodes[MANAGERS:]

    def client(self, service: str) -> Any:
        return ask(service, self.endpoint)

    @property
    def environment(self) -> dict[str, str]:
        """Of whoever deploys: signed in at the account, with the AWS CLI and its plugin."""
        return {
            **SIGNED_IN,
            "AWS_ENDPOINT_URL": self.endpoint,
            "XDG_DATA_HOME": str(self.folder),
            "BEAMOPS_STACK_FILE": str(self.stack_file),
            "BEAMOPS_IMAGES": "build",
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def configure(self, **chapters: dict[str, Any]) -> None:
        """Add to the stack file's settings."""
        content = yaml.safe_load(self.stack_file.read_text())
        content["config"] |= {f"beamops:{chapter}": given for chapter, given in chapters.items()}
        self.stack_file.write_text(yaml.safe_dump(content))

    def find(self, part: str) -> Container:
        """A container of a service, on whichever machine."""
        for node in self.workers:
            client = docker.DockerClient(base_url=node.engine)
            self.stop.callback(client.close)
            found = find_container(client, f"{self.stack}-{part}")
            if isinstance(found, Container):
                return found
        raise AssertionError(f"no container of {part} runs on a worker")

    def query(self, expression: str) -> list[Any]:
        """Ask the stack's Prometheus."""
        address = f"http://127.0.0.1:9090/api/v1/query?{urlencode({'query': expression})}"
        code, said, complaint = run_in(self.find("prometheus"), ["busybox", "wget", "-q", "-O", "-", address])
        assert code == 0, complaint
        found: list[Any] = json.loads(said)["data"]["result"]
        return found

    def tells(self, alarm: dict[str, Any]) -> bool:
        """Whether CloudWatch has been told, within half a minute, of the metric that an alarm looks at."""
        now = datetime.now(UTC)
        told = self.client("cloudwatch").get_metric_statistics(
            Namespace=alarm["Namespace"], MetricName=alarm["MetricName"], Dimensions=alarm["Dimensions"],
            StartTime=now - timedelta(seconds=_HEARD_SECONDS), EndTime=now + timedelta(seconds=1),
            Period=_HEARD_SECONDS, Statistics=["SampleCount"],
        )  # fmt: skip
        return bool(told["Datapoints"])

    @contextmanager
    def scaled(self, part: str, replicas: int) -> Iterator[None]:
        """For a time that many replicas of a service run."""
        with self.nodes.nodes[0].client() as client:
            (service,) = find_services(client, f"{self.stack}-{part}")

            def running() -> int:
                return sum(task["Status"]["State"] == "running" for task in service.tasks())

            before = service.attrs["Spec"]["Mode"]["Replicated"]["Replicas"]
            service.scale(replicas)
            try:
                wait_until(f"{part} does not run {replicas} times", 60, lambda: running() == replicas, MEANWHILE)
                yield
            finally:
                service.reload()
                service.scale(before)

    def type(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Type a command of ours for staging."""
        command = [sys.executable, "-c", _COMMAND, *arguments, "--stack", "staging"]
        return subprocess.run(
            command, cwd=ROOT, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )

    def call(self, *arguments: str) -> str:
        """Type a command of ours for staging, and give what it says; machines start meanwhile, as AWS starts them."""
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *arguments, "--stack", "staging"],
            cwd=ROOT, env={**os.environ, **self.environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if arguments[0] == "up":
            threading.Thread(target=self.run_machines, args=(process,), daemon=True).start()
        said, _ = process.communicate(timeout=1200)
        print(said)
        assert process.returncode == 0, said
        self.note_images()
        return said

    def run_machines(self, said: "subprocess.Popen[Any]") -> None:
        """Do what AWS does meanwhile: start a machine for each that a group wants, and the database."""
        started = {file.name for file in (self.folder / "machines").iterdir()}
        while said.poll() is None and (len(started) < MANAGERS + WORKERS or self.database is None):
            for group in self.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]:
                role = "manager" if group["AutoScalingGroupName"].endswith("-managers") else "worker"
                for instance in group["Instances"]:
                    if instance["InstanceId"] not in started:
                        started.add(instance["InstanceId"])
                        self._start_machine(instance["InstanceId"], role)
            if self.database is None and self.client("rds").describe_db_instances()["DBInstances"]:
                self.database = self._start_database()
            time.sleep(0.5)

    def _start_machine(self, instance: str, role: str) -> None:
        count = sum(file.read_text().endswith(f"{role}\n") for file in (self.folder / "machines").iterdir())
        node = self.nodes.nodes[count + (0 if role == "manager" else MANAGERS)]
        (self.folder / "machines" / instance).write_text(f"{node.address}\n{role}\n")
        tags = {"beamops:stack": self.stack, "beamops:role": role}
        self.client("ec2").create_tags(
            Resources=[instance], Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )
        variables = node.script_environment(self.inside, self.stack, role, instance)
        variables |= {"DOCKER_HOST": node.engine, "BEAMOPS_KEEP_SECONDS": "8", "BEAMOPS_QUIET_SECONDS": "20"}
        script = f"sh {SCRIPT} join && exec sh {SCRIPT} run"
        inside = ["nsenter", f"--net=/run/netns/{node.name}"]
        log = self.folder / f"node-{node.number}.log"
        self.stop.enter_context(process(*inside, "sh", "-c", script, log=log, **variables))
        key, engine = Path("~/.ssh/beamops/key.pub").expanduser(), node.engine.removeprefix("unix://")
        beside = [sys.executable, "-m", "tests.machine", node.address, str(key), engine, f"{HOST}:{self.registry}"]
        self.stop.enter_context(process(*inside, *beside, log=self.folder / f"machine-{node.number}.log"))

    def note_images(self) -> None:
        """Let moto know what the registry has been given."""
        ecr, kind = self.client("ecr"), "application/vnd.docker.distribution.manifest.v2+json"
        for repository in ecr.describe_repositories()["repositories"]:
            base = f"http://127.0.0.1:{self.registry}/v2/{repository['repositoryName']}"
            for tag in httpx.get(f"{base}/tags/list").json().get("tags") or []:
                manifest = httpx.get(f"{base}/manifests/{tag}", headers={"Accept": kind})
                with suppress(ecr.exceptions.ImageAlreadyExistsException):
                    ecr.put_image(
                        repositoryName=repository["repositoryName"], imageManifest=manifest.text, imageTag=tag,
                        imageDigest=manifest.headers["docker-content-digest"],
                    )  # fmt: skip

    def _read_password(self) -> str:
        secret = self.client("secretsmanager").get_secret_value(SecretId=f"{self.stack}/database")
        return str(json.loads(secret["SecretString"])["password"])

    @contextmanager
    def following_password(self) -> Iterator[None]:
        """Do what RDS does when it is given another password: its server takes it soon after."""
        before, ended, failures = self._read_password(), threading.Event(), ["it was given no other password"]

        def follow() -> None:
            while not ended.wait(0.5):
                if (password := self._read_password()) != before:
                    assert self.database is not None
                    statement = f"ALTER ROLE coordinator PASSWORD '{password}'"
                    command = ["psql", "-h", "127.0.0.1", "-U", "coordinator", "-c", statement]
                    done = self.database.exec_run(command, environment={"PGPASSWORD": before})
                    failures[:] = [] if done.exit_code == 0 else [repr(done.output)]
                    return

        following = threading.Thread(target=follow, daemon=True)
        following.start()
        try:
            yield
        finally:
            ended.set()
            following.join(30)
        assert not failures, f"PostgreSQL has not the new password: {failures}"

    def _start_database(self) -> Container:
        password = self.folder / "password"
        password.write_text(self._read_password())
        tls = "-c ssl=on -c ssl_cert_file=/certificates/server.pem -c ssl_key_file=/certificates/server.key"
        start = self.folder / "start.sh"
        start.write_text(f"{(ROOT / 'images' / 'postgresql' / 'start.sh').read_text().rstrip()} {tls}\n")
        container = self.engine.containers.run(
            built_reference(catalogue.POSTGRESQL),
            ["/bin/sh", "/start.sh", "64MB"],
            detach=True,
            user=catalogue.POSTGRESQL.user,
            tmpfs={"/var/lib/postgresql/data": "uid=999,gid=999,mode=0700"},
            volumes={
                str(password): {"bind": "/run/secrets/database_password", "mode": "ro"},
                str(start): {"bind": "/start.sh", "mode": "ro"},
                str(self.folder / "certificates"): {"bind": "/certificates", "mode": "ro"},
            },
            ports={"5432/tcp": (HOST, 5432)},
        )
        self.stop.callback(lambda: container.remove(force=True, v=True))
        return container


def on_every_worker(service: Any) -> bool:
    """Whether each worker has one of its replicas: after an update or a loss the leading manager sees to it."""
    tasks = service.tasks({"desired-state": "running"})
    nodes = [task["NodeID"] for task in tasks if task["Status"]["State"] == "running"]
    workers = [str(node.id) for node in service.client.nodes.list(filters={"role": "worker"})]
    return len(tasks) == len(nodes) and sorted(nodes) == sorted(workers)


@contextmanager
def make_site(folder: Path, engine: docker.DockerClient) -> Iterator[Site]:
    """Everything but what the stack makes."""
    install("dnsmasq-base", "openssh-client")
    ensure_key()
    for part in ("bin", "certificates", "machines", "registry"):
        (folder / part).mkdir(parents=True)
    make_certificates(folder / "certificates")
    moto, registry = free_port(), free_port()
    plugin = folder / "bin" / "session-manager-plugin"
    plugin.write_text(_PLUGIN.format(python=sys.executable, folder=folder))
    plugin.chmod(0o755)
    storage, http = {"filesystem": {"rootdirectory": str(folder / "registry")}}, {"addr": f"127.0.0.1:{registry}"}
    (folder / "registry.yml").write_text(json.dumps({"version": 0.1, "storage": storage, "http": http}))
    for image in (catalogue.PROXY, catalogue.POSTGRESQL):
        ensure_image(engine, "build", image)
    with ExitStack() as stop:
        # The bridge is there before what listens on it, and the engines after the name server that they ask.
        nodes = Nodes(folder / "n", count=MANAGERS + WORKERS)
        stop.enter_context(nodes.bridge())
        for port in (moto, registry):
            leading = [sys.executable, "-m", "tests.forward", HOST, "127.0.0.1", str(port)]
            stop.enter_context(process(*leading, log=folder / "forward.log"))
        stop.enter_context(
            process(
                sys.executable, "-m", "tests.account", "-H", "127.0.0.1", "-p", str(moto),
                log=folder / "moto.log", BEAMOPS_REGISTRY=str(registry),
                MOTO_IAM_LOAD_MANAGED_POLICIES="true", MOTO_ACM_VALIDATION_WAIT="1",
            )
        )  # fmt: skip
        stop.enter_context(
            process(str(find_registry()), "serve", str(folder / "registry.yml"), log=folder / "registry.log")
        )
        names = [f"--address=/rds.amazonaws.com/{HOST}", "--address=/#/"]
        here = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", f"--listen-address={HOST}"]
        stop.enter_context(process("dnsmasq", *here, "--conf-file=/dev/null", *names, log=folder / "names.log"))
        nodes.make()
        site = Site(folder, f"http://127.0.0.1:{moto}", f"http://{HOST}:{moto}", registry, nodes, engine, stop)
        site.client("route53").create_hosted_zone(Name="example.com", CallerReference="test")
        yield site

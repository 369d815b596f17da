"""How services run on the swarm."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from policies.rule import Resource, Rule, Unknown, at, differs, several

_SERVICE: Final = "docker:index/service:Service"
_CONTAINER: Final = "taskSpec.containerSpec"
_BY_CONTENT: Final = re.compile(r"(@sha256:[0-9a-f]{64}|:[0-9a-f]{32})$")
_ENGINE_PROXY: Final = ["coordinator", "engine-proxy"]
"""Lets nothing through to the engine but the scaling of services that are labelled for it."""
_ENGINE_EXPORTER: Final = ["coordinator", "engine-exporter"]
"""Lets nothing through to the engine: tells metrics of it, on the network of whoever watches."""
_SOCKETS: Final = ("/var/run/docker.sock", "/run/docker.sock")
_ENGINE_NETWORK: Final = "engine"
_ENGINE_USERS: Final = {"engine-proxy", "autoscaler"}
_NETWORKS: Final = {"edge", "app", "data", "observability", "engine"}
_ITS_NETWORK: Final = {"engine-proxy": "engine", "engine-exporter": "observability"}
_ROOT: Final = re.compile(r"^(0|root)?(:|$)")


def _check_resources(service: Resource) -> Iterator[str]:
    for kind, name in (("limits", "memoryBytes"), ("limits", "nanoCpus"), ("reservation", "memoryBytes")):
        if not at(service.props, f"taskSpec.resources.{kind}.{name}"):
            yield f"has no {kind}.{name}"


def _check_health(service: Resource) -> Iterator[str]:
    tests = at(service.props, f"{_CONTAINER}.healthcheck.tests")
    if not tests or (isinstance(tests, list) and tests[0] == "NONE"):
        yield "has no health check"


def _check_restart(service: Resource) -> Iterator[str]:
    if differs(at(service.props, "taskSpec.restartPolicy.condition"), "any"):
        yield "is not started again when it ends"


def _check_update(service: Resource) -> Iterator[str]:
    if differs(at(service.props, "updateConfig.failureAction"), "rollback"):
        yield "stays broken when an update fails"


def _check_hardening(service: Resource) -> Iterator[str]:
    container = at(service.props, _CONTAINER)
    if differs(at(container, "readOnly"), True):
        yield "may write to its root file system"
    if "ALL" not in several(at(container, "capDrops")):
        yield "keeps capabilities of root"
    added = several(at(container, "capAdds"))
    if added:
        yield f"is given capabilities: {', '.join(map(str, added))}"
    user = at(container, "user")
    if not isinstance(user, Unknown) and _ROOT.match(user or ""):
        yield "runs as root"


def _check_socket(service: Resource) -> Iterator[str]:
    joined = service.uses.get("taskSpec", frozenset())
    if _ENGINE_NETWORK in joined and service.name not in _ENGINE_USERS:
        yield "is on the network of the engine's proxy, and so moves replicas"
    sources = (at(mount, "source") for mount in several(at(service.props, f"{_CONTAINER}.mounts")))
    if not any(isinstance(source, str) and _holds_socket(source) for source in sources):
        return
    command = at(service.props, f"{_CONTAINER}.commands")
    networks = several(at(service.props, "taskSpec.networksAdvanceds"))
    if command not in (_ENGINE_PROXY, _ENGINE_EXPORTER):
        yield "mounts the engine's socket, and so owns the machine"
    elif several(at(service.props, "endpointSpec.ports")):
        yield "has the engine's socket, and can be reached from outside the swarm"
    elif len(networks) > 1 or joined & _NETWORKS - {_ITS_NETWORK[command[-1]]}:
        yield "has the engine's socket, and is on another network than its own"


def _holds_socket(source: str) -> bool:
    """Whether it is the socket, or a folder that it is in."""
    return any(PurePosixPath(socket).is_relative_to(PurePosixPath(source)) for socket in _SOCKETS)


def _check_image(service: Resource) -> Iterator[str]:
    image = at(service.props, f"{_CONTAINER}.image")
    if isinstance(image, str) and not _BY_CONTENT.search(image):
        yield f"runs {image}, which may be another image tomorrow"


def _check_logs(service: Resource) -> Iterator[str]:
    # What goes elsewhere leaves a copy on the node, with a bound of its own.
    if not any(at(service.props, f"taskSpec.logDriver.options.{bound}") for bound in ("max-size", "cache-max-size")):
        yield "logs without a bound"


RULES: Final = (
    Rule(
        "services-bounded",
        "Every service has limits, and memory reserved",
        "One that takes all leaves none to the others",
        "set memory_mib and cpus of its ServiceSpec",
        "high",
        (_SERVICE,),
        _check_resources,
    ),
    Rule(
        "services-checked",
        "Every service has a health check",
        "A process that runs is not one that works",
        "set health of its ServiceSpec",
        "high",
        (_SERVICE,),
        _check_health,
    ),
    Rule(
        "services-restarted",
        "Every service is started again when it ends",
        "Nobody is awake to do it",
        "restart policy any",
        "medium",
        (_SERVICE,),
        _check_restart,
    ),
    Rule(
        "updates-roll-back",
        "An update that fails is rolled back by itself",
        "The version that worked is still there",
        "updateConfig.failureAction rollback",
        "high",
        (_SERVICE,),
        _check_update,
    ),
    Rule(
        "services-hardened",
        "Services run as another user than root, on a read-only root, without capabilities",
        "Whoever breaks in finds nothing to go on with",
        "go through components/service.py, which sets all of it",
        "high",
        (_SERVICE,),
        _check_hardening,
    ),
    Rule(
        "no-docker-socket",
        "The engine's proxy and its exporter alone have the engine's socket, each on one network of its own kind",
        "Whoever has it is root on the node",
        "ask the engine's proxy, or let a dynamic resource do it",
        "critical",
        (_SERVICE,),
        _check_socket,
    ),
    Rule(
        "images-pinned",
        "Images are pinned by their content",
        "What was tested is what runs, today and after a restart",
        "use a digest, or the content's hash as the tag",
        "high",
        (_SERVICE,),
        _check_image,
        advisory_in_dev=True,
    ),
    Rule(
        "logs-bounded",
        "Logs on a node have a bound",
        "A disk that is full takes all services of the node with it",
        "set the log driver's max-size and max-file, or cache-max-size where lines go elsewhere",
        "medium",
        (_SERVICE,),
        _check_logs,
    ),
)

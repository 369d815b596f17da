"""The whole program against mocks: the arguments that matter, before any engine sees them."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components import catalogue, distribution, preflight
from components.chapter import Chapter
from components.engine import Engine
from components.observability.dashboards.rendering import DASHBOARDS
from components.service import make_service
from tests.program import run_program

ROOT = Path(__file__).parents[2]
PASSWORD = "p" * 40
ENGINE = Engine(
    "unix:///nowhere.sock", "20.10", "x86_64", 2**34, "inactive", manager=False, free_disk_bytes=None, socket_group=998
)
SERVICES = ("database", "coordinator", "proxy")
SCALING = ("autoscaler", "engine-proxy")
WATCHING = ("prometheus", "alertmanager", "node-exporter", "engine-exporter", "postgres-exporter")
COLLECTING = ("collector", "logs", "traces")
SHOWING = ("grafana",)


class Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.seen: list[pulumi.runtime.MockResourceArgs] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.seen.append(args)
        outputs = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            outputs["result"] = PASSWORD
        if args.typ.endswith("SingleNodeSwarm"):
            outputs |= {"adopted": False, "gateway_found": False, "node": "node-1"}
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program looks nothing up, but called {args.token}")


@pytest.fixture(scope="module")
def stack() -> Iterator[list[pulumi.runtime.MockResourceArgs]]:
    patch = pytest.MonkeyPatch()
    patch.setattr(preflight, "inspect_engine", lambda _: ENGINE)
    patch.setattr(preflight, "check_port", lambda *_: None)
    patch.setattr(preflight, "_check_images", lambda *_: None)
    recorder = Recorder()
    config = {
        "beamops:monitoring": '{"enabled": true, "webhook": "https://example.com/told", "grafana": true}',
        "beamops:containers": '{"source": "pull"}',
        "beamops:instrumentation": '{"collector": true, "retention_days": 3}',
        "beamops:distribution": '{"coordinator": {"autoscale": {"maximum": 6}}}',
    }
    with run_program(recorder, "dev", config):
        yield recorder.seen
    patch.undo()


def of_type(stack: list[pulumi.runtime.MockResourceArgs], kind: str) -> dict[str, dict[str, Any]]:
    return {args.name: args.inputs for args in stack if args.typ.endswith(f":{kind}") and "chapters" not in args.typ}


def service(stack: list[pulumi.runtime.MockResourceArgs], name: str) -> dict[str, Any]:
    return of_type(stack, "Service")[name]


def container(stack: list[pulumi.runtime.MockResourceArgs], name: str) -> dict[str, Any]:
    spec: dict[str, Any] = service(stack, name)["taskSpec"]["containerSpec"]
    return spec


def test_dev_has_the_chapters_that_it_needs_and_no_other(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    chapters = {args.typ.rpartition(":")[2] for args in stack if args.typ.startswith("beamops:chapters:")}
    assert chapters == {"Plan", "Network", "Containers", "Development", "Secrets", "Swarm", "Distribution"} | {
        "Autoscaling",
        "Instrumentation",
        "Monitoring",
    }


def note_what_is_waited_for(patch: pytest.MonkeyPatch, *running: str) -> dict[str, set[str]]:
    """What each service of Distribution is made after, where those services run already."""
    engine = replace(ENGINE, services=frozenset(running))
    for name, value in (("inspect_engine", engine), ("check_port", None), ("_check_images", None)):
        patch.setattr(preflight, name, lambda *_, value=value: value)
    waited: dict[str, set[str]] = {}
    make = make_service

    def note(chapter: Chapter, part: str, *, depends_on: list[pulumi.Resource] | None = None, **values: Any) -> Any:
        waited[part] = {type(one).__name__ for one in depends_on or []}
        return make(chapter, part, depends_on=depends_on, **values)

    patch.setattr(distribution, "make_service", note)
    with run_program(Recorder(), "dev", {}):
        return waited


def test_the_first_coordinators_start_beside_the_migration_and_later_ones_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert note_what_is_waited_for(monkeypatch)["coordinator"] == {"Swarm"}
    assert note_what_is_waited_for(monkeypatch, "beamops-dev-coordinator")["coordinator"] == {"Job", "Service"}


def test_dev_makes_nothing_on_aws(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    assert not [args.typ for args in stack if args.typ.startswith("aws:")]


def test_the_database_is_on_no_network_that_leads_outside(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    networks = of_type(stack, "Network")
    assert {name: network["internal"] for name, network in networks.items()} == {
        "edge": False,
        "app": True,
        "data": True,
        "observability": True,
        "engine": True,
    }

    def joined(name: str) -> set[str]:
        return {network["id"] for network in service(stack, name)["taskSpec"]["networksAdvanceds"]}

    assert joined("database") == {"data-id"}
    assert joined("coordinator") == {"app-id", "data-id", "observability-id"}
    assert joined("proxy") == {"edge-id", "app-id", "observability-id"}
    for watching in ("prometheus", "node-exporter", "engine-exporter", *COLLECTING, *SHOWING):
        assert joined(watching) == {"observability-id"}
    assert joined("postgres-exporter") == {"data-id", "observability-id"}
    assert joined("engine-proxy") == {"engine-id"}, "whoever reaches it moves replicas"
    assert joined("autoscaler") == {"engine-id", "observability-id"}
    assert joined("alertmanager") == {"edge-id", "observability-id"}, "whom it tells is beyond the swarm"


def test_log_lines_go_by_a_socket_that_nothing_but_the_engine_and_the_collector_reach(
    stack: list[pulumi.runtime.MockResourceArgs],
) -> None:
    for name in (*SERVICES, *WATCHING, *SCALING, *SHOWING, "logs", "traces"):
        driver = service(stack, name)["taskSpec"]["logDriver"]
        assert driver["name"] == "fluentd" and driver["options"]["fluentd-async"] == "true", "nobody waits for it"
        address = f"unix://{ENGINE.folder}/volumes/beamops-dev-sockets/_data/logs.sock"
        assert driver["options"]["fluentd-address"] == address
    own = service(stack, "collector")["taskSpec"]
    assert own["logDriver"]["name"] == "json-file", "its own lines do not go by way of itself"
    (mount,) = own["containerSpec"]["mounts"]
    assert mount["source"] == "beamops-dev-sockets"
    volume = of_type(stack, "Volume")["sockets"]
    assert mount["volumeOptions"]["driverOptions"] == volume["driverOpts"]
    assert volume["driverOpts"]["type"] == "tmpfs" and "mode=0700" in volume["driverOpts"]["o"]


def test_what_is_collected_is_kept_for_as_long_as_is_set(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    assert "-retentionPeriod=3d" in container(stack, "logs")["args"]
    assert "--memory.max-traces=5000" in container(stack, "traces")["args"]
    assert container(stack, "coordinator")["env"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://beamops-dev-collector:4318"


@pytest.mark.parametrize("name", [*SERVICES, *WATCHING, *SCALING, *COLLECTING, *SHOWING])
def test_every_service_is_hardened(stack: list[pulumi.runtime.MockResourceArgs], name: str) -> None:
    spec = container(stack, name)
    assert spec["readOnly"] is True
    assert spec["capDrops"] == ["ALL"]
    assert spec["user"] not in {"", "root", "0", "0:0"}
    assert spec["healthcheck"]["tests"][0] == "CMD"
    task = service(stack, name)["taskSpec"]
    assert task["resources"]["limits"]["memoryBytes"] == task["resources"]["reservation"]["memoryBytes"] > 0
    assert task["resources"]["limits"]["nanoCpus"] > 0
    bounds = {key.removeprefix("cache-"): value for key, value in task["logDriver"]["options"].items() if "max-" in key}
    assert bounds == {"max-size": "10m", "max-file": "3"}
    assert service(stack, name)["updateConfig"]["failureAction"] == "rollback"
    assert service(stack, name)["endpointSpec"]["mode"] == "dnsrr"


def test_what_may_run_twice_starts_first_and_what_may_not_stops_first(
    stack: list[pulumi.runtime.MockResourceArgs],
) -> None:
    orders = {name: service(stack, name)["updateConfig"]["order"] for name in SERVICES}
    assert orders == {"database": "stop-first", "coordinator": "start-first", "proxy": "stop-first"}


def test_the_proxy_alone_has_a_port_and_it_is_the_hosts(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    ports = {name: service(stack, name)["endpointSpec"].get("ports", []) for name in [*SERVICES, *WATCHING, *SCALING]}
    assert {name for name, found in ports.items() if found} == {"proxy"}
    assert [(port["publishMode"], port["publishedPort"]) for port in ports["proxy"]] == [("host", 4000)]


def test_the_engines_proxy_and_exporter_alone_have_the_engines_socket(
    stack: list[pulumi.runtime.MockResourceArgs],
) -> None:
    mounts = {name: container(stack, name)["mounts"] for name in [*SERVICES, *WATCHING, *SCALING]}
    holders = {name for name, found in mounts.items() if any(mount["type"] == "bind" for mount in found)}
    assert holders == {"engine-proxy", "engine-exporter"}
    for name in holders:
        (socket,) = mounts[name]
        assert (socket["source"], socket["readOnly"]) == ("/var/run/docker.sock", True)
        assert container(stack, name)["groups"] == ["998"]
    assert container(stack, "engine-exporter")["args"] == ["--label=beamops.stack=beamops-dev"], "it tells of others"


def test_replicas_that_are_moved_have_limits_that_their_labels_name(
    stack: list[pulumi.runtime.MockResourceArgs],
) -> None:
    limits = {
        name: [one["value"] for one in service(stack, name)["labels"] if one["label"].startswith("beamops.autoscale.")]
        for name in [*SERVICES, *WATCHING, *SCALING]
    }
    assert {name: found for name, found in limits.items() if found} == {"coordinator": ["2", "6"]}


def test_the_password_is_nowhere_but_in_the_secret(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    encoded = base64.b64encode(PASSWORD.encode()).decode()
    holders = {args.name for args in stack if PASSWORD in str(args.inputs) or encoded in str(args.inputs)}
    assert holders == {"database-password", "watcher-password", "grafana-password"}
    seen = {
        "database": {"/run/secrets/database_password", "/run/secrets/watcher_password"},
        "coordinator": {"/run/secrets/database_password"},
        "postgres-exporter": {"/run/secrets/watcher_password"},
        "grafana": {"/run/secrets/grafana_password"},
    }
    for name, files in seen.items():
        spec = container(stack, name)
        assert {secret["fileName"] for secret in spec["secrets"]} == files
        uid = spec["user"].partition(":")[0]
        assert {(secret["fileMode"], secret["fileUid"]) for secret in spec["secrets"]} == {(0o400, uid)}


def test_grafana_lets_nobody_look_who_is_not_signed_in(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    spec = container(stack, "grafana")
    assert spec["env"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_password"
    for closed in ("GF_AUTH_ANONYMOUS_ENABLED", "GF_USERS_ALLOW_SIGN_UP", "GF_METRICS_ENABLED"):
        assert spec["env"][closed] == "false"
    assert not service(stack, "grafana")["endpointSpec"].get("ports"), "it is reached by way of the proxy"
    assert "tasks.beamops-dev-grafana:3000" in of_type(stack, "ServiceConfig")["proxy"]["dataRaw"]


def test_grafana_is_given_its_sources_and_every_dashboard(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    given = {file["fileName"]: file["configName"] for file in container(stack, "grafana")["configs"]}
    configs = {config["name"]: config["dataRaw"] for config in of_type(stack, "ServiceConfig").values()}
    sources = yaml.safe_load(configs[given["/etc/grafana/provisioning/datasources/beamops.yml"]])["datasources"]
    assert {source["type"]: source["url"] for source in sources} == {
        "prometheus": "http://beamops-dev-prometheus:9090",
        "alertmanager": "http://beamops-dev-alertmanager:9093",
        "jaeger": "http://beamops-dev-traces:16686",
    }
    assert [source["isDefault"] for source in sources] == [True, False, False]
    (exemplars,) = sources[0]["jsonData"]["exemplarTraceIdDestinations"]
    assert exemplars == {"name": "trace_id", "datasourceUid": sources[2]["uid"]}
    (provider,) = yaml.safe_load(configs[given["/etc/grafana/provisioning/dashboards/beamops.yml"]])["providers"]
    shown = {path for path in given if path.startswith(f"{provider['options']['path']}/")}
    assert len(shown) == len(DASHBOARDS)
    for path in shown:
        assert len(configs[given[path]]) < 500_000, "more than a swarm's config may hold"


def test_where_images_are_built_grafana_is_left_out_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    for name in ("inspect_engine", "check_port", "_check_images"):
        monkeypatch.setattr(preflight, name, lambda *_: ENGINE)
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    recorder, config = Recorder(), {"beamops:monitoring": '{"enabled": true, "grafana": true}'}
    with run_program(recorder, "dev", {**config, "beamops:containers": '{"source": "build"}'}):
        assert not [args.name for args in recorder.seen if "grafana" in args.name]
    assert [line for line in said if line.startswith("beamops:monitoring.grafana: Grafana is left out")]


def test_where_alerts_go_is_nowhere_but_in_a_secret(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    told = "https://example.com/told"
    secret = of_type(stack, "Secret")["alertmanager"]["data"]["value"]  # marked as secret
    assert told in base64.b64decode(secret).decode()
    assert not [args.name for args in stack if told in str(args.inputs)]


def test_images_are_pinned_by_content(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    images = {name: image["name"] for name, image in of_type(stack, "RemoteImage").items()}
    assert images["postgresql"] == catalogue.POSTGRESQL.pull
    assert "@sha256:" in images["proxy"]
    assert images["coordinator"].startswith("beamops/coordinator:")
    assert len(images["coordinator"].partition(":")[2]) == 32


def test_migrations_run_again_when_they_change_and_not_with_every_image(
    stack: list[pulumi.runtime.MockResourceArgs],
) -> None:
    job = of_type(stack, "Job")["migration"]
    assert set(job["triggers"]) == {"migrations"}
    assert job["data"] == "beamops-dev-database", "data that is new has no schema"
    assert job["image"] not in job["triggers"].values()


def test_everything_made_says_which_stack_it_belongs_to(stack: list[pulumi.runtime.MockResourceArgs]) -> None:
    unlabelled = [
        args.name
        for args in stack
        if args.typ.startswith("docker:index/")
        and not args.typ.endswith("RemoteImage")
        and {"label": "beamops.stack", "value": "beamops-dev"} not in args.inputs["labels"]
    ]
    assert unlabelled == []

"""Grafana, where its image can be pulled: who looks at what the stack measures, and signs in to do so."""

import base64
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components import catalogue
from components.chapter import Chapter
from components.network import Network
from components.observability.dashboards.rendering import DASHBOARDS, render_dashboard
from components.observability.grafana import DASHBOARDS_FOLDER, render_provider, render_sources
from components.proxy import GRAFANA_HEALTH_PATH, GRAFANA_PATH, GRAFANA_PORT
from components.service import File, LogDriver, fetch, keep_data, make_config, make_service

GRAFANA_MEMORY_MIB: Final = 256
_PASSWORD_FILE: Final = "/run/secrets/grafana_password"  # noqa: S105 - a path
_PROVISIONING: Final = "/etc/grafana/provisioning"


@dataclass(frozen=True)
class GrafanaArgs:
    """What it shows, and where."""

    image: pulumi.Input[str]
    traces: bool
    network: Network
    data_here: bool
    log_driver: LogDriver
    swarm: pulumi.Resource
    """Before any configuration."""


def make_grafana(chapter: Chapter, args: GrafanaArgs) -> pulumi.Output[str]:
    """Make the service with its data sources and dashboards; gives the password of its one user, `admin`.

    Whoever is not signed in sees nothing, nobody signs up, and it reaches nothing beyond the swarm. It is reached by
    way of the proxy alone.
    """
    observability = args.network.observability
    assert observability is not None  # noqa: S101 - there where it is watched
    password = random.RandomPassword(
        "grafana-password", random.RandomPasswordArgs(length=40, special=False), chapter.options()
    ).result
    secret = docker.Secret(
        "grafana-password",
        docker.SecretArgs(
            name=chapter.names.of("grafana-password"),
            data=password.apply(lambda value: base64.b64encode(value.encode()).decode()),
            labels=chapter.label(docker.SecretLabelArgs),
        ),
        chapter.options(depends_on=[args.swarm]),
    )
    sources = render_sources(chapter.names, traces=args.traces)
    files = {
        "grafana-sources": (sources, f"{_PROVISIONING}/datasources/beamops.yml"),
        "grafana-provider": (render_provider(), f"{_PROVISIONING}/dashboards/beamops.yml"),
        **{
            f"dashboard-{one.name}": (render_dashboard(one), f"{DASHBOARDS_FOLDER}/{one.name}.json")
            for one in DASHBOARDS
        },
    }
    make_service(
        chapter,
        "grafana",
        image=args.image,
        user=catalogue.GRAFANA.user,
        command=["/run.sh"],
        networks=[observability.id],
        health=fetch(f"http://127.0.0.1:{GRAFANA_PORT}{GRAFANA_HEALTH_PATH}"),
        memory_mib=GRAFANA_MEMORY_MIB,
        cpus=0.5,
        order="stop-first",  # its database has one holder
        env={
            "GF_SERVER_ROOT_URL": f"%(protocol)s://%(domain)s{GRAFANA_PATH}/",
            "GF_SERVER_SERVE_FROM_SUB_PATH": "true",
            "GF_SECURITY_ADMIN_PASSWORD__FILE": _PASSWORD_FILE,
            "GF_SECURITY_DISABLE_GRAVATAR": "true",
            "GF_AUTH_ANONYMOUS_ENABLED": "false",
            "GF_USERS_ALLOW_SIGN_UP": "false",
            "GF_METRICS_ENABLED": "false",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            "GF_NEWS_NEWS_FEED_ENABLED": "false",
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
            "GF_LOG_MODE": "console",
        },
        secrets=[File(secret.id, secret.name, _PASSWORD_FILE)],
        configs=[make_config(chapter, part, content, path, args.swarm) for part, (content, path) in files.items()],
        volumes={"/var/lib/grafana": keep_data(chapter, "grafana", here=args.data_here)},
        constraints=[chapter.names.data_constraint],
        start_seconds=120,
        log_driver=args.log_driver,
    )
    return password

"""A stack file is checked whole, with one line a fault that says what was given and what is allowed."""

import json

import pytest

from components.settings import (
    IMAGES_VARIABLE,
    WEBHOOK_VARIABLE,
    Environment,
    Settings,
    SettingsError,
    read_environment,
    read_settings,
)

WATCHED = {"enabled": True}


def read(**chapters: object) -> Settings:
    return read_settings("dev", {f"beamops:{name}": json.dumps(value) for name, value in chapters.items()})


def faults(**chapters: object) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        read(**chapters)
    return refused.value.faults


def test_an_empty_stack_file_is_a_complete_dev_environment() -> None:
    settings = read()
    assert settings.distribution.coordinator.replicas == 2
    assert settings.distribution.proxy.port == 4000
    assert settings.containers.source == "pull"


def test_what_a_stack_file_says_wins_over_the_default() -> None:
    assert read(distribution={"coordinator": {"replicas": 5}}).distribution.coordinator.replicas == 5


@pytest.mark.parametrize(
    ("chapters", "line"),
    [
        (
            {"distribution": {"coordinator": {"replica": 3}}},
            (
                "Pulumi.dev.yaml: beamops:distribution.coordinator.replica: unknown key; "
                "allowed here: active, autoscale, cpus, drain_seconds, memory_mib, release, replicas"
            ),
        ),
        (
            {"distribution": {"coordinator": {"replicas": "two"}}},
            'Pulumi.dev.yaml: beamops:distribution.coordinator.replicas: given "two", should be a valid integer',
        ),
        (
            {"distribution": {"coordinator": {"replicas": 99}}},
            "Pulumi.dev.yaml: beamops:distribution.coordinator.replicas: given 99, should be less than or equal to 12",
        ),
        (
            {"plan": "beamops"},
            (
                'Pulumi.dev.yaml: beamops:plan: given "beamops", '
                "should be a group of keys: alert_email, free_disk_mib, "
                "monthly_budget_usd, name, owner, reserved_memory_mib"
            ),
        ),
        (
            {"containers": {"source": "download"}},
            "Pulumi.dev.yaml: beamops:containers.source: given \"download\", should be 'pull' or 'build'",
        ),
        (
            {"distribution": {"coordinator": {"replicas": 4, "autoscale": {"maximum": 4}}}, "monitoring": WATCHED},
            (
                "Pulumi.dev.yaml: beamops:distribution.coordinator.autoscale.maximum: given 4, should be more than "
                "the 4 replicas that there always are"
            ),
        ),
        (
            {"distribution": {"coordinator": {"autoscale": {"maximum": 4}}}},
            (
                "Pulumi.dev.yaml: beamops:distribution.coordinator.autoscale.maximum: given 4, and the load is read "
                "from Prometheus: set monitoring.enabled"
            ),
        ),
        (
            {"instrumentation": {"collector": True}},
            (
                "Pulumi.dev.yaml: beamops:instrumentation.collector: given true, and needs who watches it: "
                "set monitoring.enabled"
            ),
        ),
        (
            {"monitoring": {"grafana": True}},
            (
                "Pulumi.dev.yaml: beamops:monitoring.grafana: given true, and there is nothing to show: "
                "set monitoring.enabled"
            ),
        ),
        (
            {"distribution": {"coordinator": {"active": "green"}}},
            (
                "Pulumi.dev.yaml: beamops:distribution.coordinator.active: given green, and with release: rolling "
                "there are no colours; leave it out"
            ),
        ),
        (
            {
                "distribution": {"coordinator": {"release": "blue-green", "autoscale": {"maximum": 4}}},
                "monitoring": WATCHED,
            },
            (
                "Pulumi.dev.yaml: beamops:distribution.coordinator.autoscale.maximum: given 4, and with "
                "release: blue-green the number is fixed; leave one of them out"
            ),
        ),
        (
            {"plans": {}},
            (
                "Pulumi.dev.yaml: beamops:plans: unknown key; "
                "allowed here: autoscaling, containers, development, distribution, instrumentation, monitoring, "
                "network, pipeline, plan, policies, production, secrets"
            ),
        ),
    ],
)
def test_each_fault_names_file_key_given_and_allowed(chapters: dict[str, object], line: str) -> None:
    assert faults(**chapters) == [line]


def test_every_fault_is_told_at_once() -> None:
    assert len(faults(plan={"nam": "x"}, secrets={"database_password_version": 0}, distribution={"proxy": 1})) == 3


def test_a_mistyped_namespace_is_a_fault() -> None:
    with pytest.raises(SettingsError, match="beamop:plan: unknown namespace 'beamop'"):
        read_settings("dev", {"beamop:plan": "{}"})


def test_providers_keep_their_own_namespaces() -> None:
    read_settings("dev", {"docker:host": "unix:///var/run/docker.sock"})


def test_the_environment_variable_overrides_where_images_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(IMAGES_VARIABLE, "build")
    assert read(containers={"source": "pull"}).containers.source == "build"
    monkeypatch.setenv(IMAGES_VARIABLE, "bake")
    assert faults() == ["BEAMOPS_IMAGES: the value should be 'pull' or 'build'"]


def test_a_webhook_that_is_no_address_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEBHOOK_VARIABLE, "hooks.example.com/secret")
    (fault,) = faults()
    assert fault.startswith("BEAMOPS_WEBHOOK: the value should match") and "secret" not in fault


def test_a_stack_is_named_after_its_environment() -> None:
    assert read_environment("dev", emulated=False) is Environment.DEV
    with pytest.raises(SettingsError, match="no such environment; use one of dev, staging, prod"):
        read_environment("production", emulated=True)


def test_dev_has_nothing_to_emulate() -> None:
    with pytest.raises(SettingsError, match="leave AWS=emulated out"):
        read_environment("dev", emulated=True)


def test_a_chapter_that_an_environment_does_not_have_is_refused() -> None:
    assert faults(production={"managers": 3}) == ["Pulumi.dev.yaml: beamops:production: dev has no such chapter"]


def test_a_fault_names_the_file_that_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAMOPS_STACK_FILE", "/elsewhere/mine.yaml")
    assert faults(plans={})[0].startswith("mine.yaml: beamops:plans: unknown key")

"""The proxy's configuration repeats only what may be repeated, and has a slot for every replica."""

from components.proxy import EXPORTER_PORT, GRACE_SECONDS, SLOTS, ProxyConfig, render_proxy
from components.settings import CoordinatorSettings


def render(
    *,
    observed: bool = False,
    balanced: bool = False,
    services: tuple[str, ...] = ("beamops-dev-coordinator",),
    grafana: str | None = None,
) -> str:
    config = ProxyConfig(4000, services, 4000, "/readyz", "/metrics", grafana, observed, balanced)
    return render_proxy(config)


RENDERED = render()


def section(name: str) -> str:
    return RENDERED.split(f"\n{name}\n")[1].split("\n\n")[0]


def test_a_write_without_a_key_is_never_sent_twice() -> None:
    assert "retry-on conn-failure\n" in section("backend once") + "\n"
    assert "default_backend once" in section("frontend public")


def test_what_may_be_repeated_is_told_by_its_key_or_method() -> None:
    assert "acl repeatable req.hdr(Idempotency-Key) -m found" in section("frontend public")
    assert "retry-on conn-failure empty-response" in section("backend repeatable")


def test_replicas_are_checked_where_they_say_that_they_are_ready() -> None:
    for backend in ("backend once", "backend repeatable"):
        assert "option httpchk GET /readyz" in section(backend)
        assert f"server-template replica {SLOTS} tasks.beamops-dev-coordinator:4000" in section(backend)


def test_of_two_versions_the_one_that_is_ready_is_found() -> None:
    rendered = render(services=("x-coordinator", "x-coordinator-green"))
    for found in (
        f"    server-template replica {SLOTS} tasks.x-coordinator:4000\n",
        f"    server-template beside {SLOTS} tasks.x-coordinator-green:4000\n",
    ):
        assert rendered.count(found) == 3, "once a backend"


def test_grafana_is_below_a_path_of_its_own_where_there_is_one() -> None:
    rendered = render(grafana="x-grafana")
    before, found, after = rendered.partition(
        "    use_backend grafana if { path /grafana } or { path_beg /grafana/ }\n"
    )
    assert found and "use_backend" not in before and "use_backend repeatable" in after
    assert "    server-template grafana 1 tasks.x-grafana:3000\n" in rendered
    assert "grafana" not in RENDERED


def test_there_are_slots_for_all_replicas_twice() -> None:
    most = next(limit.le for limit in CoordinatorSettings.model_fields["replicas"].metadata if hasattr(limit, "le"))
    assert most * 2 <= SLOTS


def test_the_proxy_tells_its_own_metrics_where_somebody_asks() -> None:
    assert "prometheus-exporter" not in RENDERED
    observed = render(observed=True)
    assert observed.startswith(RENDERED)
    assert f"bind :{EXPORTER_PORT}" in observed


def test_a_proxy_behind_a_load_balancer_says_that_it_goes_and_serves_on_until_that_is_seen() -> None:
    balanced = render(balanced=True)
    assert f"grace {GRACE_SECONDS}s" in balanced
    assert "return status 503 if { path /readyz } { stopping }" in balanced
    assert "stopping" not in RENDERED and "grace" not in RENDERED

"""The plan refuses what the engine cannot carry, in one line a fault."""

import dataclasses

import pytest

from components.engine import Engine
from components.plan import MIB, PlanArgs, check_budget, memory_needed
from components.settings import (
    CoordinatorSettings,
    DistributionSettings,
    InstrumentationSettings,
    MonitoringSettings,
    Settings,
    SettingsError,
)

ENGINE = Engine("unix:///x", "20.10", "x86_64", 8192 * MIB, "inactive", manager=False, free_disk_bytes=10_000 * MIB)
ARGS = PlanArgs(Settings(), ENGINE)
WATCHED = Settings(monitoring=MonitoringSettings(enabled=True, memory_mib=300))


def serving(replicas: int) -> Settings:
    coordinator = CoordinatorSettings(replicas=replicas, memory_mib=300)
    return Settings(distribution=DistributionSettings(coordinator=coordinator))


def test_an_update_needs_room_for_one_replica_more() -> None:
    one = serving(1)
    assert memory_needed(serving(2)) - memory_needed(one) == 300
    assert memory_needed(one) == 2 * 300 + one.distribution.database.memory_mib + one.distribution.proxy.memory_mib


def test_who_watches_needs_memory_too() -> None:
    assert memory_needed(WATCHED) - memory_needed(Settings()) > 300


def test_who_collects_needs_memory_too() -> None:
    collected = WATCHED.model_copy(update={"instrumentation": InstrumentationSettings(collector=True)})
    assert memory_needed(collected) - memory_needed(WATCHED) == 128 + 192 + 256


def test_a_plan_that_fits_has_no_fault() -> None:
    check_budget(ARGS)


def test_too_little_memory_and_disk_are_two_lines_that_say_what_to_do() -> None:
    engine = dataclasses.replace(ENGINE, memory_bytes=1024 * MIB, free_disk_bytes=100 * MIB)
    with pytest.raises(SettingsError) as refused:
        check_budget(dataclasses.replace(ARGS, engine=engine))
    memory, disk = refused.value.faults
    assert "needs 1920 MiB" in memory
    assert "the engine has 1024" in memory
    assert "lower beamops:distribution.coordinator.replicas" in memory
    assert "100 MiB are free" in disk


def test_the_disk_of_a_distant_engine_is_not_guessed() -> None:
    check_budget(dataclasses.replace(ARGS, engine=dataclasses.replace(ENGINE, free_disk_bytes=None)))

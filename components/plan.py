"""Chapter 1, Plan: names, labels, and whether the engine can carry what the settings ask for."""

from dataclasses import dataclass

import pulumi

from components.autoscaling import AUTOSCALING_MEMORY_MIB
from components.chapter import Chapter
from components.colours import PARTS
from components.engine import Engine
from components.grafana import GRAFANA_MEMORY_MIB
from components.instrumentation import COLLECTOR_MEMORY_MIB, ENGINE_EXPORTER_MEMORY_MIB, EXPORTER_MEMORY_MIB
from components.monitoring import ALERTMANAGER_MEMORY_MIB, LOGS_MEMORY_MIB, TRACES_MEMORY_MIB
from components.naming import Names
from components.settings import Settings, SettingsError

MIB = 1024 * 1024


@dataclass(frozen=True)
class PlanArgs:
    """What the plan is made from."""

    settings: Settings
    engine: Engine


class Plan(Chapter):
    """The budget, shown as outputs; a plan that the engine cannot carry never gets this far (`check_budget`)."""

    number = 1

    def __init__(self, names: Names, args: PlanArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self.memory_mib = memory_needed(args.settings)
        self.register_outputs({"stack": names.stack, "memory_mib": self.memory_mib, "engine": args.engine.version})


def memory_needed(settings: Settings) -> int:
    """The most memory that the services may take at once, in MiB: during an update one coordinator more runs."""
    distribution, monitoring = settings.distribution, settings.monitoring
    coordinator = distribution.coordinator
    watching = monitoring.memory_mib + ALERTMANAGER_MEMORY_MIB + 2 * EXPORTER_MEMORY_MIB + ENGINE_EXPORTER_MEMORY_MIB
    collecting = COLLECTOR_MEMORY_MIB + LOGS_MEMORY_MIB + TRACES_MEMORY_MIB
    versions = len(PARTS) if coordinator.release == "blue-green" else 1
    return (
        ((coordinator.autoscale.maximum or versions * coordinator.replicas) + 1) * coordinator.memory_mib
        + distribution.database.memory_mib
        + distribution.proxy.memory_mib
        + (watching if monitoring.enabled else 0)
        + (GRAFANA_MEMORY_MIB if monitoring.grafana else 0)
        + (collecting if settings.instrumentation.collector else 0)
        + (2 * AUTOSCALING_MEMORY_MIB if coordinator.autoscale.maximum else 0)
    )


def check_budget(args: PlanArgs) -> None:
    """Make sure that the engine can carry the plan.

    Raises:
        SettingsError: one line for each thing of which it has too little.
    """
    faults, plan = [], args.settings.plan
    needed = memory_needed(args.settings) + plan.reserved_memory_mib
    present = args.engine.memory_bytes // MIB
    if needed > present:
        faults.append(
            f"too little memory: the plan needs {needed} MiB ({plan.reserved_memory_mib} of them reserved), "
            f"the engine has {present}; lower beamops:distribution.coordinator.replicas or a memory_mib"
        )
    free = args.engine.free_disk_bytes
    if free is not None and free // MIB < plan.free_disk_mib:
        faults.append(
            f"too little disk: {free // MIB} MiB are free where the engine keeps images, "
            f"{plan.free_disk_mib} are needed; make room, or lower beamops:plan.free_disk_mib"
        )
    if faults:
        raise SettingsError(faults)

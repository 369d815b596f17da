"""Everything that can be known to be wrong before the first resource is registered, in one line a fault."""

import os

import pulumi
from coordinator import contract

from components import catalogue
from components.containers import base_reference, packages_reference, program_base
from components.engine import Engine, EngineError, check_port, connect, engine_host, has_image, inspect_engine
from components.naming import Names
from components.plan import PlanArgs, check_budget
from components.settings import ENDPOINT_VARIABLE, Environment, Settings, SettingsError, read_environment, read_settings


def prepare(stack: str) -> tuple[Settings, Engine]:
    """Read the stack's settings and look at its engine.

    Raises:
        pulumi.RunError: with one line a fault, before anything is registered.
    """
    try:
        emulated = ENDPOINT_VARIABLE in os.environ
        environment = read_environment(stack, emulated=emulated)
        settings = read_settings(stack, pulumi.runtime.config.CONFIG.get(), emulated=emulated)
        engine = inspect_engine(engine_host(settings.development.engine))
        if environment != Environment.DEV and not emulated:
            from components.aws.account import check_account  # noqa: PLC0415 - dev need not load AWS's SDK

            changes = not pulumi.runtime.is_dry_run()
            check_account(settings.production, settings.network.region, engine, changes=changes)
        else:
            check_budget(PlanArgs(settings, engine))
            _check_socket(engine, settings)
            check_port(engine, settings.distribution.proxy.port, Names(settings.plan.name, stack).of("proxy"))
        _check_images(engine.host, settings)
    except (SettingsError, EngineError) as error:
        raise pulumi.RunError(str(error)) from None
    return settings, engine


def _check_socket(engine: Engine, settings: Settings) -> None:
    if settings.distribution.coordinator.autoscale.maximum and engine.socket_group is None:
        raise EngineError(
            f"beamops:distribution.coordinator.autoscale.maximum: replicas are moved by way of "
            f"unix://{contract.ENGINE_SOCKET}, and the engine is at {engine.host}; leave it out here"
        )


def _check_images(host: str, settings: Settings) -> None:
    source = settings.containers.source
    needed = [packages_reference(source), *([base_reference()] if source == "build" else [])]
    if source == "build" and settings.instrumentation.collector:
        needed += [program_base(image, source) for image in catalogue.TELEMETRY]
    with connect(host) as client:
        for reference in needed:
            if not has_image(client, reference):
                raise EngineError(f"the image {reference} is not on the engine; `make images` makes it")

"""The whole program against mocks: what it registers, without an engine."""

import asyncio
import gc
import runpy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pulumi

from components.containers import ROOT


@contextmanager
def run_program(mocks: pulumi.runtime.Mocks, stack: str, config: Mapping[str, str]) -> Iterator[None]:
    """Run it to its end, with full keys (`beamops:plan`) and values in JSON; the mocks have seen what it registers."""
    before = dict(pulumi.runtime.config.CONFIG.get())
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    pulumi.runtime.set_all_config(dict(config))
    pulumi.runtime.set_mocks(mocks, project="beamops", stack=stack, preview=False)
    try:
        pulumi.runtime.test(lambda: runpy.run_path(str(ROOT / "__main__.py")) and None)()
        yield
    finally:
        gc.enable()  # which a program that ends at once does without
        loop.close()
        pulumi.runtime.set_all_config(before)

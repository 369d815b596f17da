"""The whole program against mocks: what it registers, without an engine."""

import asyncio
import gc
import runpy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pulumi

from components.containers import ROOT


def register(mocks: pulumi.runtime.Mocks, stack: str, program: Callable[[], object]) -> None:
    """Run a program, or a part of one, to its end: the mocks have seen what it registers."""
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    pulumi.runtime.set_mocks(mocks, project="beamops", stack=stack, preview=False)
    try:
        pulumi.runtime.test(lambda: program() and None)()  # waits for all that is registered
    finally:
        loop.close()


@contextmanager
def run_program(mocks: pulumi.runtime.Mocks, stack: str, config: Mapping[str, str]) -> Iterator[None]:
    """The whole of it, with full keys (`beamops:plan`) and values in JSON, which are there until the context ends."""
    before = dict(pulumi.runtime.config.CONFIG.get())
    pulumi.runtime.set_all_config(dict(config))
    try:
        register(mocks, stack, lambda: runpy.run_path(str(ROOT / "__main__.py")))
        yield
    finally:
        gc.enable()  # which a program that ends at once does without
        pulumi.runtime.set_all_config(before)

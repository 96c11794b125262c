"""The programs on interfaces of a namespace, for the length of a `with`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from harness import Datapath
from world import Namespace

from tcmicro_agent.datapath import hooks
from tcmicro_agent.datapath.kernel import Kernel


@contextmanager
def guarding(
    kernel: Kernel, space: Namespace, *names: str, hook: str = "auto"
) -> Iterator[Datapath]:
    """A fresh datapath, with the programs on these interfaces."""
    found = [hooks.Interface(name, space.inside(socket.if_nametoindex, name)) for name in names]
    for interface in found:
        space.inside(kernel.attach, hook, interface)
    try:
        yield Datapath(kernel)
    finally:
        for interface in found:
            space.inside(kernel.detach, interface)

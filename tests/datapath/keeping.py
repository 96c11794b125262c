"""`us` of a world, with programs kept on its interfaces as the agent keeps them, without the agent."""

from __future__ import annotations

import os

import pytest
from harness import Datapath
from world import World

from tcmicro_agent import abi
from tcmicro_agent.attachments import Attachments
from tcmicro_agent.config import Config, HookKind
from tcmicro_agent.datapath import hooks, libbpf, links
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.interfaces import Link

# Every namespace gets these where the modules of tunnels are loaded.
FALLBACKS = frozenset(
    ["tunl0", "gre0", "gretap0", "erspan0", "ip6tnl0", "ip6gre0", "sit0", "ip_vti0", "ip6_vti0"]
)


def need_tcx() -> None:
    if libbpf.programs_at(1, hooks.TCX_ATTACH_TYPES[abi.Direction.INGRESS]) is None:
        pytest.skip(f"kernel {os.uname().release} has no tcx: it came with 6.6")


class Kept(Datapath):
    """A fresh datapath, and what keeps it attached to the interfaces of `us`; nothing is attached yet."""

    def __init__(self, kernel: Kernel, world: World, hook: str) -> None:
        super().__init__(kernel)
        self.world = world
        self.config = Config(hook=HookKind(hook))
        self.attachments = Attachments(kernel)

    def converge(self, *, newcomers: bool = True) -> list[str]:
        return self.world.us.inside(
            lambda: self.attachments.converge(self.config, newcomers=newcomers)
        )

    def links(self) -> dict[str, Link]:
        return {link.name: link for link in self.world.us.inside(links.read)}

    def names(self) -> str:
        """The interfaces where programs of ours hang, but for fallback tunnels."""
        hooked = {index for _, index in self.hooked()}
        names = {name for name, link in self.links().items() if link.index in hooked}
        return " ".join(sorted(names - FALLBACKS))

    def hooked(self) -> list[tuple[hooks.Hook, int]]:
        return self.world.us.inside(self.kernel.hooked)

    def counted(self, reason: abi.Reason, direction: abi.Direction = abi.Direction.INGRESS) -> int:
        """Packets so far that were decided for that reason."""
        return self.kernel.counters()[abi.counter_index(direction, reason, abi.Bank.ENFORCED)][0]

    def tcx_programs(self, name: str, direction: abi.Direction) -> list[int]:
        index, kind = self.links()[name].index, hooks.TCX_ATTACH_TYPES[direction]
        return self.world.us.inside(libbpf.programs_at, index, kind) or []

    def let_go(self) -> None:
        """Takes everything of ours off all interfaces."""
        for hook, index in self.hooked():
            self.world.us.inside(hooks.remove, hook, index)
        self.kernel.set_vlans(set())

    def close(self) -> None:
        self.let_go()
        super().close()

"""Hosts for live traffic: a pair of network namespaces for every filter, which sits on the server's side."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tcmicro_agent.datapath import hooks, libbpf
from tcmicro_agent.datapath.programs import PROGRAMS
from tcmicro_agent.tuning import Tuning
from tests.bench import peers
from tests.bench.loaded import BUILD, CAPACITY, ROOT, Loaded, floor_program, loaded
from tests.bench.measure import MeasurementError
from tests.bench.offload import switch_off
from tests.bench.policies import FIRST_PEER, PORT, US, Size, address, slot_tables
from tests.datapath.packets import TCP, UDP
from tests.datapath.world import Namespace
from tools.process import ToolError, run

TRAFFIC = BUILD / "traffic"
REFUSED_PORT = 9000
SIZES = {"10": 10, "1k": 1_000, "10k": 10_000}
NFT = {"nft_set": peers.nft_set, "nft_linear": peers.nft_linear}
IPTABLES = ("iptables-legacy-restore", "iptables-nft-restore")
UNFILTERED = ("none", "floor")
PROBES = 64


def build() -> None:
    flags = ("-O2", "-Wall", "-Wextra", "-Werror")
    run(["clang", *flags, "tests/bench/traffic.c", "-o", str(TRAFFIC)], cwd=ROOT)


@dataclass(frozen=True)
class Pair:
    """A client whose address is the last of `size` peers, and the server it talks to."""

    client: Namespace
    server: Namespace
    address: str

    def traffic(self, mode: str, amount: int, *, port: int = PORT) -> list[float]:
        """What tests/bench/traffic.c prints in that mode."""
        spaces = [f"/run/netns/{space.name}" for space in (self.client, self.server)]
        argv = [str(TRAFFIC), mode, *spaces, US, str(port), str(amount)]
        return [float(word) for word in run(argv, timeout=90).split()]

    def inside_server(self, *command: str) -> None:
        """Runs a command in the server's namespace."""
        run(["nsenter", f"--net=/run/netns/{self.server.name}", *command])

    def interface(self) -> hooks.Interface:
        """The server's, where the filter sits."""
        return hooks.Interface("eth0", self.server.inside(socket.if_nametoindex, "eth0"))

    def received(self) -> tuple[int, int]:
        """Bytes and packets that came in at the server."""
        text = self.server.inside(Path("/proc/thread-self/net/dev").read_text)
        fields = next(line for line in text.splitlines() if "eth0:" in line).split(":")[1].split()
        return int(fields[0]), int(fields[1])


@contextmanager
def pair(name: str, size: int) -> Iterator[Pair]:
    """Without offloads: what arrives are packets of 1,500 bytes, as from a network card, not of 64 KB."""
    with ExitStack() as stack:
        client, server = (Namespace(f"tcmb{os.getpid()}-{name}-{side}") for side in "cs")
        stack.callback(server.close)
        stack.callback(client.close)
        peer = address(FIRST_PEER, size - 1)
        client.ip("link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", server.name)
        for space, own in ((client, peer), (server, US)):
            space.ip("addr", "add", f"{own}/8", "dev", "eth0")
            space.inside(switch_off, "eth0")
            space.ip("link", "set", "eth0", "up")
        ports = Path("/proc/sys/net/ipv4/ip_local_port_range")
        client.inside(ports.write_text, "10000 65000")
        yield Pair(client, server, peer)


class World:
    """Every filter in every size. `pairs` by name: none, floor, tcmicro_1k, nft_set_10k, …"""

    def __init__(self, stack: ExitStack, bpffs: Path) -> None:
        self.pairs: dict[str, Pair] = {}
        self.absent: dict[str, str] = {}  # what cannot be had on this machine, and why
        self._datapaths: list[Loaded] = []
        self._stack, self._bpffs = stack, bpffs
        self._add("none", SIZES["1k"])
        self._add_floor()
        for label, size in SIZES.items():
            self._add_ours(f"tcmicro_{label}", size)
            for kind, text in NFT.items():
                self._add_rules(f"{kind}_{label}", size, ["nft", "-f", "-"], text(size))
            self._add_iptables(f"iptables_{label}", size)
        self._check()

    def drain_events(self) -> None:
        for datapath in self._datapaths:
            datapath.drain_events()

    def _add(self, name: str, size: int) -> Pair:
        self.pairs[name] = self._stack.enter_context(pair(name.replace("_", "-"), size))
        return self.pairs[name]

    def _add_floor(self) -> None:
        program = self._stack.enter_context(floor_program(self._bpffs))
        links = self._bpffs / "floor_links"
        links.mkdir()
        made = self._add("floor", SIZES["1k"])
        made.server.inside(_attach_floor, links, made.interface(), program)

    def _add_ours(self, name: str, size: int) -> None:
        wanted = Size(size, protocols=(TCP, UDP))
        tuning = Tuning(capacity=CAPACITY, hosts=2 * size + 1024, rules=2 * wanted.entries + 1024)
        datapath = self._stack.enter_context(loaded(self._bpffs, name, tuning=tuning))
        datapath.install(slot_tables(wanted, slot=1, generation=1))
        made = self._add(name, size)
        made.server.inside(datapath.kernel.attach, "auto", made.interface())
        self._datapaths.append(datapath)

    def _add_iptables(self, name: str, size: int) -> None:
        """By whichever of its two kernel interfaces this machine has."""
        refusals = []
        for tool in IPTABLES:
            try:
                self._add_rules(name, size, [tool], peers.iptables(size))
                return
            except ToolError as exc:
                refusals.append(str(exc))
        del self.pairs[name]
        self.absent[name] = " | ".join(refusals)

    def _add_rules(self, name: str, size: int, command: list[str], rules: str) -> None:
        made = self.pairs.get(name) or self._add(name, size)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(rules)
            file.flush()
            source = [file.name if word == "-" else word for word in command]
            made.inside_server(*source, *([] if "-" in command else [file.name]))

    def _check(self) -> None:
        """Every filter lets the one through and refuses the other, else its figures mean nothing."""
        for name, made in self.pairs.items():
            _, arrived = made.traffic("udp", PROBES)
            _, leaked = made.traffic("refused", PROBES, port=REFUSED_PORT)
            if arrived != PROBES or (leaked != 0) != (name in UNFILTERED):
                raise MeasurementError(
                    f"{name}: {arrived:.0f} allowed and {leaked:.0f} refused datagrams of {PROBES} came through"
                )


def _attach_floor(links: Path, interface: hooks.Interface, program: libbpf.Program) -> None:
    hook = hooks.choose("auto", links, interface)
    for direction in PROGRAMS:
        hook.attach(interface, direction, program)

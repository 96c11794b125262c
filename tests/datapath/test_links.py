"""Links of every kind that this kernel can make: which are guarded, and that each packet of theirs is judged, once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from builders import bundle, rule
from keeping import Kept
from tunnel import Tunnel
from world import PEER, PEER6, US, World, ping, talks, tcp, udp

from tcmicro_agent import abi
from tcmicro_agent.datapath import links
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.interfaces import TUNNELS, TUNNELS_SINCE, Framing, Interface
from tcmicro_agent.policy.model import Action
from tcmicro_agent.tuning import Tuning

OBJECT = Path(__file__).parents[2] / "build/tcmicro.bpf.o"
SMALL = Tuning(capacity=1024).map_sizes(0)
KERNEL = os.uname().release
SERVICE = 5432
NEAR, FAR, THIRD = "10.9.7.1", "10.9.7.2", "10.9.7.3"
NEAR6, FAR6, THIRD6 = "fd07::1", "fd07::2", "fd07::3"
POLICY = bundle(
    rule("p/db", f"tcp/{SERVICE} udp/{SERVICE} icmp", (1,)),
    rule("p/carrier", "any", (2,)),
    endpoints={FAR: 1, FAR6: 1, PEER: 2, PEER6: 2},
    egress=Action.ALLOW,
)

VLAN = "link add link y0 name {} type vlan id 100"
# What makes x0 out of y0, one end of a veth pair, or on top of eth0; and what is guarded then besides eth0.
KINDS = {
    "veth": (["link set y0 down", "link set y0 name x0"], "x0"),
    "bridge": (["link add x0 type bridge", "link set y0 master x0"], "x0"),
    "bond": (["link add x0 type bond", "link set y0 down", "link set y0 master x0"], "x0"),
    "vrf": (["link add v0 type vrf table 7", "link set v0 up", "link set y0 master v0"], "y0"),
    "vlan": ([VLAN.format("x0")], "x0 y0"),
    "vlan of a vlan": (
        [VLAN.format("z0"), "link set z0 up", "link add link z0 name x0 type vlan id 7"],
        "x0 y0 z0",
    ),
    "vlan in a bridge": (
        [VLAN.format("z0"), "link set z0 up", "link add x0 type bridge", "link set z0 master x0"],
        "x0 y0",
    ),
    "vlan of a bridge": (
        [
            "link add z0 type bridge",
            "link set y0 master z0",
            "link set z0 up",
            VLAN.format("x0").replace("y0", "z0"),
        ],
        "x0 z0",
    ),
    "vxlan": (["link add x0 type vxlan id 7 local {us} remote {peer} dstport 4789"], "x0 y0"),
    "gre": (["link add x0 type gre local {us} remote {peer}"], "x0 y0"),
    "ip6gre": (["link add x0 type ip6gre local fd09::{a} remote fd09::{b}"], "x0 y0"),
    "ipip": (["link add x0 type ipip local {us} remote {peer}"], "x0 y0"),
    "sit": (["link add x0 type sit local {us} remote {peer}"], "x0 y0"),
    "wireguard": (["link add x0 type wireguard"], "x0 y0"),
    "tun": ([], "x0 y0"),
}
NO_IPV4, NO_IPV6 = {"sit"}, {"ipip"}


@pytest.fixture
def world():
    made = World()
    made.serve(made.us, SERVICE)
    made.us.ip("link", "add", "y0", "type", "veth", "peer", "y0", "netns", made.peer.name)
    yield made
    made.close()


@pytest.fixture(params=["tcx", "clsact"])
def host(request, kernel, world):
    made = Kept(kernel, world, request.param)
    made.enforce(POLICY)
    yield made
    made.close()


def build(world, kind: str):
    """Makes x0 of that kind on both sides, with addresses; skips where the kernel cannot."""
    sides = ((world.us, US, PEER, 1, 2), (world.peer, PEER, US, 2, 1))
    for space, us, peer, a, b in sides:
        space.ip("link", "set", "y0", "up")
        for line in KINDS[kind][0]:
            words = line.format(us=us, peer=peer, a=a, b=b).split()
            argv = ["ip", "-n", space.name, *words]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"this kernel makes no such link: ip {' '.join(words)}: {done.stderr}")
    if kind == "wireguard":
        _exchange_keys(world)
    return closing(Tunnel("x0", world.us, world.peer)) if kind == "tun" else nullcontext()


def _exchange_keys(world) -> None:
    if shutil.which("wg") is None:
        pytest.skip("wireguard links are tested with the command wg: it is not installed")
    ends = ((world.us, PEER), (world.peer, US))
    keys = [_key_pair() for _ in ends]
    for (space, other), (private, _), (_, public) in zip(ends, keys, reversed(keys), strict=True):
        with tempfile.NamedTemporaryFile("w") as key:
            key.write(private)
            key.flush()
            own = ["listen-port", "51820", "private-key", key.name]
            peer = ["peer", public, "endpoint", f"{other}:51820"]
            space.run("wg", "set", "x0", *own, *peer, "allowed-ips", "0.0.0.0/0,::/0")


def _key_pair() -> tuple[str, str]:
    def wg(word: str, given: str = "") -> str:
        argv = ["wg", word]
        done = subprocess.run(argv, input=given, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    private = wg("genkey")
    return private, wg("pubkey", private)


def address(world, name: str) -> None:
    for space, found in ((world.us, (NEAR, NEAR6)), (world.peer, (FAR, THIRD, FAR6, THIRD6))):
        space.ip("link", "set", name, "up")
        for one in found:
            whole = [f"{one}/64", "nodad"] if ":" in one else [f"{one}/24"]
            space.ip("addr", "add", *whole, "dev", name)


def exchange(space, near: str, far: str, count: int) -> int:
    """Sends datagrams over one socket and gets each back; its port."""
    family = socket.AF_INET6 if ":" in far else socket.AF_INET
    with space.socket(family, socket.SOCK_DGRAM) as client:
        client.bind((far, 0))
        client.connect((near, SERVICE))
        assert all(talks(client) for _ in range(count))
        return client.getsockname()[1]


def guarded(kind: str) -> str:
    """Names of the interfaces with programs of ours."""
    old = kind in TUNNELS and links.kernel_version(KERNEL) < TUNNELS_SINCE
    return "eth0 " + KINDS[kind][1].removeprefix("x0 " if old else "")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "vrf"])
def test_packets_of_every_kind_of_link_are_judged_once(host, world, kind):
    with build(world, kind):
        address(world, "x0")
        host.converge()
        assert host.names() == guarded(kind)
        if "x0" not in guarded(kind):
            pytest.skip(f"kernel {KERNEL} shows tc the outer headers of {kind} links: not guarded")
        pairs = [] if kind in NO_IPV4 else [(NEAR, FAR, THIRD)]
        pairs += [] if kind in NO_IPV6 else [(NEAR6, FAR6, THIRD6)]
        for near, far, third in pairs:
            assert tcp(world.peer, near, SERVICE, source=far)
            assert ping(world.peer, near, source=far)
            assert not tcp(world.peer, near, SERVICE, source=third)
            assert not udp(world.peer, near, SERVICE, source=third)
            assert not tcp(world.peer, near, 22, source=far)
            port = exchange(world.peer, near, far, 5)
            sessions = [s for s in host.sessions() if s.protocol == socket.IPPROTO_UDP]
            [flow] = [s for s in sessions if s.remote_port == port]
            assert (str(flow.local), str(flow.remote), flow.packets) == (near, far, (5, 5))
    assert host.attachments.repairs == {}


def test_the_members_of_a_vrf_are_guarded(host, world):
    with build(world, "vrf"):
        host.converge()
        assert host.names() == guarded("vrf")


def test_programs_for_bare_ip_are_there_from_the_first_such_link_on(bpffs, world, tmp_path):
    other_object = tmp_path / "other.bpf.o"
    other_object.write_bytes(OBJECT.read_bytes() + b"another")  # ELF ends before
    kernel, later = (Kernel(bpffs / "demand" / str(abi.ABI)) for _ in range(2))
    kernel.load(OBJECT, SMALL)
    with closing(Tunnel("x0", world.us, world.peer)):
        index = world.us.inside(socket.if_nametoindex, "x0")
        link = ("auto", Interface("x0", index, Framing.IP))
        assert not {"tcm_ingress_l3", "tcm_egress_l3"} & loaded_programs(kernel)
        assert not any(world.us.inside(kernel.attached, *link).values())
        world.us.inside(kernel.attach, *link)
        assert all(world.us.inside(kernel.attached, *link).values())
        later.load(OBJECT, SMALL)  # as after a restart: what is there is kept
        assert all(world.us.inside(later.attached, *link).values())
        later.load(other_object, SMALL)  # as the next release: it brings its own of what is there
        assert not any(world.us.inside(later.attached, *link).values())
        world.us.inside(later.attach, *link)
        assert all(world.us.inside(later.attached, *link).values())
        world.us.inside(later.detach, link[1])
    for one in (kernel, later):
        one.close()
    later.unpin()


def loaded_programs(kernel: Kernel) -> set[str]:
    return {pin.name for pin in (kernel.pins / "programs").iterdir()}


def program_ids(kernel: Kernel) -> dict[str, int]:
    found = {}
    for name in loaded_programs(kernel):
        with kernel.programs.open(name) as opened:
            found[name] = opened.program.id
    return found


def test_an_object_that_is_there_is_not_loaded_again(bpffs, tmp_path):
    kernel = Kernel(bpffs / "again" / str(abi.ABI))
    kernel.load(OBJECT, SMALL)
    first = program_ids(kernel)
    kernel.load(OBJECT, SMALL)
    assert program_ids(kernel) == first
    other = tmp_path / "other.bpf.o"
    other.write_bytes(OBJECT.read_bytes() + b"another")
    kernel.load(other, SMALL)
    second = program_ids(kernel)
    assert not set(first.values()) & set(second.values())
    for lost in ("programs/tcm_ingress", "tcm_events"):
        (kernel.pins / lost).unlink()
        kernel.load(other, SMALL)
        assert (kernel.pins / lost).exists()
        assert not set(second.values()) & set(program_ids(kernel).values())
        second = program_ids(kernel)
    kernel.close()
    kernel.unpin()

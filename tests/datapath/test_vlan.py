"""Tagged frames, real ones: on the parent of a VLAN they are judged unless they are judged on the VLAN."""

from __future__ import annotations

from ipaddress import ip_address

import packets as p
import pytest
from builders import bundle, rule
from keeping import Kept
from world import PEER, STRANGER, US, World, udp

from tcmicro_agent.abi import Direction, Reason
from tcmicro_agent.policy.model import Action

SERVICE = 5432
POLICY = bundle(rule("p/db", f"udp/{SERVICE}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
ALLOWED, DENIED, PASSED = Reason.RULE_ALLOW, Reason.DEFAULT_DENY, Reason.VLAN


@pytest.fixture(scope="module")
def world():
    made = World()
    made.serve(made.us, SERVICE)
    yield made
    made.close()


@pytest.fixture(params=["tcx", "clsact"])
def host(request, kernel, world):
    made = Kept(kernel, world, request.param)
    made.enforce(POLICY)
    made.converge()
    yield made
    made.close()


def tagged(source: str, dest: str, *vlans: int) -> bytes:
    content = p.ipv4(ip_address(source), ip_address(dest), p.UDP, p.udp(4000, SERVICE, b"x" * 20))
    return p.ethernet(content, 0x0800, vlans=vlans)


def send(space, frame: bytes) -> None:
    with space.wire() as sender:
        sender.send(frame)


# The way in always has the outer tag beside the packet, what a packet socket sends has it inside.
@pytest.mark.parametrize(
    ("guarded", "vlans", "source", "reason"),
    [
        ((), (7,), PEER, ALLOWED),
        ((), (7,), STRANGER, DENIED),
        ((), (7, 9), STRANGER, DENIED),
        ((7,), (7,), STRANGER, PASSED),
        ((7,), (7, 9), STRANGER, PASSED),
        ((9,), (7,), STRANGER, DENIED),
        ((9,), (7, 9), STRANGER, DENIED),  # the inner tag is nobody's business here
        ((7, 9), (9, 7), STRANGER, PASSED),
        ((7,), (0x6007,), STRANGER, PASSED),  # priority 3 of VLAN 7
        ((7,), (), STRANGER, DENIED),
    ],
)
@pytest.mark.parametrize("direction", Direction)
def test_a_frame_passes_the_parent_by_its_outer_tag(
    host, world, guarded, vlans, source, reason, direction
):
    index = host.links()["eth0"].index
    host.kernel.set_vlans({(index, number) for number in guarded} | {(index + 1, 7)})
    if direction is Direction.EGRESS:
        reason = {DENIED: Reason.DEFAULT_ALLOW, ALLOWED: Reason.DEFAULT_ALLOW}.get(reason, reason)
    before = host.counted(reason, direction)
    if direction is Direction.INGRESS:
        send(world.peer, tagged(source, US, *vlans))
    else:
        send(world.us, tagged(US, source, *vlans))
    assert host.counted(reason, direction) == before + 1


def test_keys_follow_what_is_wanted(host):
    wanted = {(2, 7), (2, 4094), (3, 7)}
    assert host.kernel.set_vlans(wanted)
    assert not host.kernel.set_vlans(wanted)
    assert host.kernel.vlans() == wanted
    host.converge()  # no link of this host is a VLAN
    assert host.kernel.vlans() == set()


def test_frames_without_a_tag_are_judged_as_ever(host, world):
    host.kernel.set_vlans({(host.links()["eth0"].index, 0)})
    assert udp(world.peer, US, SERVICE)
    assert not udp(world.peer, US, SERVICE, source=STRANGER)

"""From one datapath to another under live traffic: other sizes, another abi, up and down, cut after every step."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from builders import bundle, rule
from built import built
from left_out import ANOTHER_LOAD
from witness import Witness
from world import PEER, US, World, ping, tcp

from tcmicro_agent import abi, takeover
from tcmicro_agent.config import Config, HookKind
from tcmicro_agent.datapath import hooks, libbpf, predecessors
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.inspection import Inspection
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.model import Action
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Applied, Books, Store
from tcmicro_agent.takeover import Step
from tcmicro_agent.tuning import Tuning

ROOT = Path(__file__).parents[2]
OBJECT = ROOT / "build/tcmicro.bpf.o"
SERVICE, FORBIDDEN = 5432, 22
TCP, UDP = 6, 17
POLICY = bundle(rule("p/db", f"tcp/{SERVICE} icmp", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
TIGHTER = bundle(rule("p/db", f"tcp/{SERVICE + 1}", (1,)), endpoints={PEER: 1})
SMALL, LARGE = Tuning(capacity=1024).map_sizes(0), Tuning(capacity=2048).map_sizes(0)
OURS = abi.ABI
LATER = OURS + 1
OUT = abi.Direction.EGRESS
OPENING, ESTABLISHED = abi.SessionState.OPENING, abi.SessionState.ESTABLISHED


class Inside(Inspection):
    """Looks at the interfaces of the world, not at those of this process."""

    def __init__(self, site: Site, kernel: Kernel) -> None:
        config = Config(interfaces=("eth0",), hook=HookKind(site.hook))
        super().__init__(kernel, lambda: config, OBJECT)
        self._space = site.world.us

    def fault(self, *asked) -> str:
        return self._space.inside(super().fault, *asked)


@dataclass
class Site:
    """A host under test: files, pins, and releases that find their datapath in a directory of pins each."""

    world: World
    store: Store
    top: Path
    hook: str = "auto"

    def agent(self, number: int = OURS) -> Agent:
        kernel = Kernel(self.top / str(number))
        return Agent(kernel, self.store, examiner=Inside(self, kernel))

    def steps(self, agent: Agent, sizes=SMALL) -> list[Step]:
        load = Step("load", lambda: agent.kernel.load(OBJECT, sizes))
        attach = Step(
            "attach",
            lambda: self.world.us.inside(agent.kernel.attach, self.hook, self.interface),
        )
        return takeover.plan_steps(agent, load, attach, sizes)

    def start(self, number: int = OURS, sizes=SMALL, *, cut: int | None = None) -> Agent:
        """What an agent does when it starts; `cut`: it ends after so many steps."""
        agent = self.agent(number)
        for step in self.steps(agent, sizes)[:cut]:
            step.act()
        return agent

    @property
    def interface(self) -> hooks.Interface:
        return hooks.Interface("eth0", self.world.us.inside(socket.if_nametoindex, "eth0"))

    def attached(self, number: int = OURS) -> bool:
        kernel = self.agent(number).kernel
        return all(self.world.us.inside(kernel.attached, self.hook, self.interface).values())

    def directories(self) -> list[str]:
        return sorted(path.name for path in self.top.iterdir())

    def enforced(self) -> bool:
        return tcp(self.world.peer, US, SERVICE) and not tcp(self.world.peer, US, FORBIDDEN)

    def close(self) -> None:
        for one in [*predecessors.find(self.top / "x"), predecessors.aside(self.top / str(OURS))]:
            if one.pins.exists():
                self.world.us.inside(Kernel(one.pins).detach, self.interface)
                Kernel(one.pins).unpin()


@pytest.fixture
def site(bpffs, tmp_path):
    world = World()
    for port in (SERVICE, FORBIDDEN):
        world.serve(world.us, port)
    made = Site(world, Store(tmp_path), bpffs / "tcmicro")
    yield made
    made.close()
    world.close()


def digest_and_generation(agent: Agent) -> tuple[str, int]:
    live = agent.observe().live
    return live.digest, live.generation


# --- other sizes --------------------------------------------------------------------------------------


@ANOTHER_LOAD
def test_an_ordinary_start_is_a_load_and_an_attach(site):
    site.start()
    assert [step.text for step in site.steps(site.agent())] == ["load", "attach"]


@pytest.mark.parametrize("hook", ["tcx", "clsact"])
def test_maps_are_resized_under_live_traffic(site, hook):
    site.hook = hook
    before = site.start()
    before.apply(POLICY)
    ruled = digest_and_generation(before)
    with Witness(site.world, SERVICE) as seen:
        time.sleep(0.2)
        after = site.start(sizes=LARGE)
        time.sleep(0.2)
    assert (seen.lost_talks, seen.missing, seen.intrusions) == (0, 0, 0)
    assert seen.talks > 20
    assert takeover.wrong_sizes(after.kernel, LARGE) == {}
    assert digest_and_generation(after) == ruled
    assert site.directories() == [str(OURS)]
    assert site.attached()
    assert site.enforced()


@ANOTHER_LOAD
def test_a_resize_may_be_cut_after_every_step(site):
    sizes = [SMALL, LARGE]
    site.start().apply(POLICY)
    texts = [step.text for step in site.steps(site.agent(), LARGE)]
    assert len(texts) == 8
    with Witness(site.world, SERVICE) as seen:
        for cut in range(len(texts) + 1):
            wanted = sizes[(cut + 1) % 2]
            site.start(sizes=wanted, cut=cut)
            assert site.enforced(), texts[:cut]
            after = site.start(sizes=wanted)
            assert site.enforced(), texts[:cut]
            assert takeover.drift(after.kernel, wanted) == []
            assert site.directories() == [str(OURS)]
    assert (seen.lost_talks, seen.missing, seen.intrusions) == (0, 0, 0)


@ANOTHER_LOAD
def test_a_conversation_that_begins_between_copy_and_attach_is_not_lost(site):
    site.start().apply(POLICY)
    agent = site.agent()
    steps = site.steps(agent, LARGE)
    middle = [step.text for step in steps].index("attach")
    for step in steps[:middle]:
        step.act()
    ours, theirs = (
        space.socket(kind=socket.SOCK_DGRAM) for space in (site.world.us, site.world.peer)
    )
    with ours, theirs:
        ours.bind((US, 0))
        theirs.bind((PEER, 0))
        ours.sendto(b"?", theirs.getsockname())
        for step in steps[middle:]:
            step.act()
        theirs.sendto(b"!", ours.getsockname())
        assert ours.recv(1) == b"!"


@ANOTHER_LOAD
def test_what_was_used_here_is_newer_than_what_is_copied(site):
    sessions = site.start().kernel.sessions
    table = abi.SessionTable.TCP4
    used, unused = (abi.SESSION4_KEY.pack(bytes(4), bytes(4), n, n, TCP) for n in (b"ab", b"cd"))
    old, new = (abi.SESSION.pack(0, 0, 0, 0, 2, 0, 0, n, 0, 0, 0, 0) for n in (1, 2))
    sessions.put(table, [(used, abi.U32.pack(7) + new[4:]), (unused, old)])
    sessions.put_unless_used(table, [(used, old), (unused, new)])
    [chunk] = sessions.chunks(table)
    assert {chunk.key(n): chunk.last_seen[n] for n in range(2)} == {used: 2, unused: 2}
    assert {chunk.session(n).generation for n in range(2)} == {0, 7}


@ANOTHER_LOAD
def test_what_waits_to_be_confirmed_is_not_moved_for_larger_maps(site):
    agent = site.start()
    agent.apply(POLICY)
    agent.apply(TIGHTER, confirm_within=60)
    again = site.start(sizes=LARGE)
    assert again.observe().pending
    assert "tcm_tcp4 (1024, not 2048)" in takeover.drift(again.kernel, LARGE)[0]
    again.revert()
    assert takeover.drift(site.start(sizes=LARGE).kernel, LARGE) == []


# --- another abi --------------------------------------------------------------------------------------


@ANOTHER_LOAD
def test_from_an_abi_nobody_knows_connections_and_enforcement_go_on(site):
    """Its sessions cannot be read; TCP is known by its sockets, and a question that is asked again is answered."""
    later = site.start(LATER)
    later.apply(POLICY)
    ruled = digest_and_generation(later)
    with Witness(site.world, SERVICE) as seen:
        time.sleep(0.2)
        after = site.start()
        time.sleep(0.2)
    assert (seen.lost_talks, seen.intrusions) == (0, 0)
    assert digest_and_generation(after) == ruled
    assert site.directories() == [str(OURS)]
    assert site.attached()


@ANOTHER_LOAD
def test_up_down_and_up_again_cut_after_every_step(site):
    site.start().apply(POLICY)
    here, there = OURS, LATER
    texts = [step.text for step in site.steps(site.agent(there))]
    with Witness(site.world, SERVICE) as seen:
        for cut in range(len(texts) + 1):
            site.start(there, cut=cut)
            assert site.enforced(), texts[:cut]
            site.start(there)
            assert site.enforced(), texts[:cut]
            assert site.attached(there)
            assert site.directories() == [str(there)]
            here, there = there, here
    assert (seen.lost_talks, seen.intrusions) == (0, 0)


@ANOTHER_LOAD
def test_what_an_earlier_datapath_left_behind_is_not_taken_for_the_truth(site):
    """It was cut before it could be removed, and policy went on without it."""
    first = site.start()
    first.apply(POLICY)
    steps = len(site.steps(site.agent(LATER)))
    later = site.start(LATER, cut=steps - 1)
    later.apply(TIGHTER)
    confirmed = later.store.books().confirmed
    assert site.directories() == [str(OURS), str(LATER)]
    after = site.start()
    assert digest_and_generation(after) == (confirmed.digest, confirmed.generation)
    assert after.store.books().confirmed == confirmed
    assert not after.unsettled()
    assert not tcp(site.world.peer, US, SERVICE)


@ANOTHER_LOAD
def test_an_abi_is_not_left_while_a_policy_waits_to_be_confirmed(site):
    later = site.start(LATER)
    later.apply(POLICY)
    later.apply(TIGHTER, confirm_within=60)
    with pytest.raises(
        RefusedError, match=f"abi {LATER} enforces generation 2, which waits"
    ) as said:
        site.start()
    assert "confirm or revert" in said.value.hint
    assert site.directories() == [str(LATER)]
    assert site.attached(LATER)
    later.revert()
    site.start()
    assert site.enforced()
    assert site.directories() == [str(OURS)]


@ANOTHER_LOAD
def test_an_abi_is_not_left_for_a_policy_that_cannot_be_built(site):
    later = site.start(LATER)
    later.apply(POLICY)
    for kept in (site.store.var / "bundles").iterdir():
        kept.unlink()
    with pytest.raises(RefusedError, match="whose bundle is not kept here"):
        site.start()
    assert site.attached(LATER)
    assert site.enforced()


# --- abi 1 --------------------------------------------------------------------------------------------


def attach_abi_1(site, tmp_path) -> Path:
    """Its programs, attached, and books that say what it enforced."""
    pins = site.top / "1"
    for name in ("programs", "links"):
        (pins / name).mkdir(parents=True)
    path = built("objects/abi1.bpf.c")
    loaded = libbpf.load(path, pins, {})
    hook = site.world.us.inside(hooks.choose, "auto", pins / "links", site.interface)
    for direction in abi.Direction:
        program = loaded.programs[f"tcm_{direction.name.lower()}"]
        site.world.us.inside(hook.attach, site.interface, direction, program)
    loaded.close()
    site.store.save_bundle(POLICY, digest(POLICY))
    site.store.save_books(Books(generation=5, confirmed=Applied(digest(POLICY), 5)))
    return pins


def put_abi_1(pins: Path, name: str, flow: tuple[int, int, int], state: int, **of: int) -> None:
    """A session of abi 1: (protocol, our port, the peer's port)."""
    protocol, ours, theirs = flow
    ports = ours.to_bytes(2, "big"), theirs.to_bytes(2, "big")
    key = abi.SESSION4_KEY.pack(ip_address(US).packed, ip_address(PEER).packed, *ports, protocol)
    adopted, seen = of.get("adopted", 0), of["seen"]
    value = abi.SESSION.pack(4, 1, 0, OUT, state, 0, adopted, seen, 1, 1, 60, 60)
    table = libbpf.Map(libbpf.get(pins / name), len(key), len(value))
    table.put(key, value)
    os.close(table.fd)


@ANOTHER_LOAD
def test_sessions_of_abi_1_are_carried_over(site, tmp_path):
    pins = attach_abi_1(site, tmp_path)
    assert site.enforced()
    now = site.start(cut=1).kernel.jiffies()
    seen = Witness(site.world, SERVICE)
    put_abi_1(pins, "tcm_sessions4", (UDP, *seen.stream_ports), ESTABLISHED, seen=now)
    put_abi_1(pins, "tcm_sessions4", (TCP, 7, 8), ESTABLISHED, seen=now - 5, adopted=1)
    put_abi_1(pins, "tcm_half4", (TCP, 7, 9), OPENING, seen=now - 5)
    with seen:
        time.sleep(0.1)
        after = site.start()
        time.sleep(0.2)
        sessions = after.kernel.sessions
        found = [chunk.session(n) for chunk in sessions.chunks() for n in range(len(chunk))]
    assert (seen.lost_talks, seen.missing, seen.intrusions) == (0, 0, 0)
    assert digest_and_generation(after) == (digest(POLICY), 5)
    assert site.directories() == [str(OURS)]
    assert site.attached()
    by_port = {(s.protocol, s.remote_port): s for s in found}
    stream, adopted, half = by_port[UDP, seen.stream_ports[1]], by_port[TCP, 8], by_port[TCP, 9]
    assert (stream.generation, stream.opener) == (5, OUT)
    assert (adopted.generation, adopted.flags) == (0, abi.SessionFlag.ADOPTED)
    assert (adopted.state, adopted.last_seen) == (ESTABLISHED, now - 5)
    assert half.state is OPENING
    assert sessions.counts()[abi.SessionTable.HALF4] >= 1


@ANOTHER_LOAD
def test_tables_that_are_not_laid_out_as_they_should_be_are_left_alone(site, tmp_path):
    """The maps that are there decide, not the number of their directory."""
    pins = attach_abi_1(site, tmp_path)
    now = site.start(cut=1).kernel.jiffies()
    put_abi_1(pins, "tcm_half4", (TCP, 7, 9), OPENING, seen=now)
    [old] = predecessors.find(site.top / str(OURS))
    assert sum(map(len, old.sessions())) == 1
    (pins / "tcm_half4").unlink()
    os.rename(site.top / str(OURS) / "tcm_counters", pins / "tcm_half4")
    assert sum(map(len, old.sessions())) == 0
    site.start()
    assert site.enforced()


# --- the same abi -------------------------------------------------------------------------------------


@ANOTHER_LOAD
def test_programs_are_swapped_up_down_and_up_again_under_live_traffic(site, tmp_path):
    """Two builds that differ take turns over the same maps."""
    other = built("objects/variant.bpf.c")
    agent = site.start()
    agent.apply(POLICY)
    with Witness(site.world, SERVICE) as seen:
        for path in (other, OBJECT, other, OBJECT):
            time.sleep(0.2)
            agent = site.agent()
            agent.kernel.load(path, SMALL)
            site.world.us.inside(agent.kernel.attach, site.hook, site.interface)
            has_variant = (agent.kernel.pins / "programs/tcm_variant").exists()
            assert has_variant or path == OBJECT
            assert ping(site.world.peer, US)
        time.sleep(0.2)
    assert (seen.lost_talks, seen.missing, seen.intrusions) == (0, 0, 0)
    assert seen.talks > 50

"""What becomes of a host when something fails, one row per fault: what rules goes on, and somebody is told."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from builders import bundle, rule
from built import built
from left_out import AGENT
from packets import ACK, RST, SYN, ethernet, tcp_packet
from test_agent import Host
from world import PEER, STRANGER, US, World, connection, talks, tcp

from tcmicro_agent import abi
from tcmicro_agent.abi import Bank, Direction, Reason, Word
from tcmicro_agent.config import FAILSAFE_ENTRIES
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import KernelError, MapFullError
from tcmicro_agent.policy.model import Action
from tcmicro_agent.tuning import TcpMode, Tuning

ROOT = Path(__file__).parents[2]
SMALL = {
    **Tuning(capacity=1024, hosts=1024, rules=1024).map_sizes(0),
    "tcm_cidrs4": 1024,
    "tcm_sums": 16,
}
RULING = bundle(rule("p/http", "tcp/80", (1,)), endpoints={PEER: 1})
BEFORE = bundle(rule("p/http", "tcp/81", (1,)), endpoints={PEER: 1})
IN, OUT = Direction.INGRESS, Direction.EGRESS
NEW_PORTS = itertools.count(1)


@pytest.fixture(scope="module")
def kernel(bpffs):
    """With small maps, so that they can be filled."""
    loaded = Kernel(bpffs / "tcmicro" / str(abi.ABI))
    loaded.load(ROOT / "build/tcmicro.bpf.o", SMALL)
    yield loaded
    loaded.close()
    loaded.unpin()


@pytest.fixture
def ruled(datapath):
    """RULING is live, BEFORE is the way back, and one connection is established."""
    datapath.enforce(BEFORE)
    datapath.enforce(RULING)
    datapath.tune(Tuning(tcp=TcpMode.STRICT))
    for direction, flags in [(IN, SYN), (OUT, SYN | ACK), (IN, ACK)]:
        assert send(datapath, direction, flags)
    return datapath


def send(datapath, direction: Direction, flags: int, *, port: int = 1000) -> bool:
    if direction is IN:
        return datapath.ingress(tcp_packet(PEER, port, US, 80, flags))
    return datapath.egress(tcp_packet(US, 80, PEER, port, flags))


def still_rules(datapath) -> None:
    """The policy judges new flows, and the flow it allowed lives."""
    port = next(NEW_PORTS)
    assert datapath.reason(IN, tcp_packet(PEER, 1000, US, 80, ACK)) is Reason.SESSION
    assert datapath.reason(IN, tcp_packet(PEER, port, US, 80, SYN)) is Reason.RULE_ALLOW
    assert datapath.reason(IN, tcp_packet(STRANGER, port, US, 80, SYN)) is Reason.DEFAULT_DENY
    assert datapath.reason(IN, tcp_packet(PEER, port, US, 81, SYN)) is Reason.DEFAULT_DENY


# --- what is built does not fit, or is refused --------------------------------------------------------


def many(prefix: int):
    step = 2 ** (32 - prefix)
    first = int(IPv4Address("10.64.0.0"))
    return bundle(endpoints={f"{IPv4Address(first + n * step)}/{prefix}": 1 for n in range(1100)})


TOO_BIG = {
    "tcm_rules": bundle(*(rule(f"p/{n}", f"tcp/{n + 1}") for n in range(1100))),
    "tcm_hosts4": many(32),
    "tcm_cidrs4": many(30),
}


@pytest.mark.parametrize("name", TOO_BIG)
def test_a_policy_that_does_not_fit_is_refused_whole(ruled, name):
    with pytest.raises(MapFullError, match=f"{name}: this policy has 1100 entries.*holds 1024"):
        ruled.enforce(TOO_BIG[name])
    still_rules(ruled)
    ruled.enforce(RULING)  # what the attempt left behind is in nobody's way
    still_rules(ruled)


def failsafe_keys(count: int) -> frozenset[bytes]:
    return frozenset(
        abi.FAILSAFE_KEY.pack(160, IN, 6, n.to_bytes(2, "big"), bytes(16)) for n in range(count)
    )


def test_a_failsafe_that_does_not_fit_takes_nothing_away(ruled):
    assert ruled.kernel.map("tcm_failsafe").capacity() == FAILSAFE_ENTRIES
    kept = failsafe_keys(10)
    ruled.kernel.set_failsafe(kept)
    with pytest.raises(MapFullError):
        ruled.kernel.set_failsafe(failsafe_keys(2000) - kept)
    assert kept <= ruled.kernel.failsafe()
    still_rules(ruled)


def refused_by_the_verifier(tmp_path: Path) -> Path:
    return built("objects/refused.bpf.c")


def of_another_layout(tmp_path: Path) -> Path:
    return built("objects/layout.bpf.c")


def cut_short(tmp_path: Path) -> Path:
    whole = (ROOT / "build/tcmicro.bpf.o").read_bytes()
    (tmp_path / "x.o").write_bytes(whole[: len(whole) // 2])
    return tmp_path / "x.o"


def missing(tmp_path: Path) -> Path:
    return tmp_path / "x.o"


OBJECT_FAULTS = [
    (refused_by_the_verifier, "refused it: Permission denied: .*(invalid access|R[0-9] )"),
    (of_another_layout, "refused it: .*parameter mismatch"),
    (cut_short, "cannot be opened"),
    (missing, "cannot be opened"),
]


@pytest.mark.parametrize(("fault", "reason"), OBJECT_FAULTS)
def test_an_object_that_cannot_be_loaded_replaces_nothing(ruled, fault, reason, tmp_path):
    pins = sorted(ruled.kernel.pins.rglob("*"))
    programs = {name: program_id(ruled, name) for name in ("tcm_ingress", "tcm_egress")}
    with pytest.raises(KernelError, match=reason):
        ruled.kernel.load(fault(tmp_path), {})
    assert sorted(ruled.kernel.pins.rglob("*")) == pins
    assert {name: program_id(ruled, name) for name in programs} == programs
    still_rules(ruled)


def program_id(datapath, name: str) -> int:
    with datapath.kernel.programs.open(name) as opened:
        return opened.program.id


# --- maps of the programs themselves are full ---------------------------------------------------------


def test_a_full_session_table_forgets_the_oldest_and_refuses_nobody(ruled):
    capacity = ruled.kernel.sessions.capacities()[abi.SessionTable.TCP4]
    for port in range(2000, 2000 + 2 * capacity):
        for direction, flags in [(IN, SYN), (OUT, SYN | ACK), (IN, ACK)]:
            assert send(ruled, direction, flags, port=port)
    newest = range(2000 + 2 * capacity - capacity // 4, 2000 + 2 * capacity)
    assert all(send(ruled, IN, ACK, port=port) for port in newest)
    assert ruled.reason(IN, tcp_packet(STRANGER, 7, US, 80, SYN)) is Reason.DEFAULT_DENY


def spend(datapath) -> None:
    """Empties the token buckets, and the counters beside them."""
    table = datapath.kernel.map("tcm_budget")
    table.put(abi.U32.pack(0), bytes(len(table.get(abi.U32.pack(0)))))


def test_events_that_cannot_even_be_summed_are_counted(ruled):
    spend(ruled)
    ruled.tune(Tuning(tcp=TcpMode.STRICT, event_rate=0))
    for port in range(1000, 1100):
        assert ruled.reason(IN, tcp_packet(STRANGER, 7, US, port, SYN)) is Reason.DEFAULT_DENY
    sent, summed, unsummed = budget(ruled)
    assert (sent, summed + unsummed) == (0, 100)
    assert unsummed > 0
    still_rules(ruled)


def test_a_full_ring_that_nobody_reads_changes_no_verdict(ruled):
    ruled.tune(Tuning(tcp=TcpMode.STRICT, event_rate=100_000, event_burst=100_000))
    spend(ruled)
    packet = tcp_packet(STRANGER, 7, US, 80, SYN)
    for _ in range(20_000):
        assert not ruled.ingress(packet)
    sent, summed, unsummed = budget(ruled)
    assert sent > 0
    assert summed + unsummed > 0
    assert sent + summed + unsummed == 20_000
    still_rules(ruled)


def budget(datapath) -> tuple[int, int, int]:
    """Events sent, summed and not even that, over all CPUs."""
    each = datapath.kernel.map("tcm_budget").get_each_cpu(abi.U32.pack(0))
    rows = [abi.BUDGET.unpack(raw)[2:5] for raw in each]
    return tuple(map(sum, zip(*rows, strict=True)))


# --- the control word and what it names ---------------------------------------------------------------


def empty(datapath, *numbers: int) -> None:
    for number in numbers:
        datapath.kernel.map("tcm_slots").put(abi.U32.pack(number), bytes(abi.SLOT.size))


def test_a_word_that_names_an_empty_slot_means_the_other_one(ruled):
    empty(ruled, ruled.kernel.control().word.active)
    assert ruled.reason(IN, tcp_packet(PEER, 7, US, 81, SYN)) is Reason.RULE_ALLOW
    assert ruled.reason(IN, tcp_packet(PEER, 7, US, 80, SYN)) is Reason.DEFAULT_DENY


def test_a_first_policy_that_nobody_confirmed_leaves_nothing_enforced(ruled):
    """What ruled before it was nothing, and to that the deadline goes back."""
    word = ruled.kernel.control().word
    empty(ruled, word.fallback)
    armed = Word(word.active, word.fallback, Clock().boot_ms() + 1)
    ruled.kernel.transition(word.encode(), armed.encode())
    while Clock().boot_ms() <= armed.deadline_ms:
        time.sleep(0.001)
    assert ruled.reason(IN, tcp_packet(STRANGER, 7, US, 22, SYN)) is Reason.UNENFORCED


def test_with_no_slot_at_all_nothing_is_enforced_and_that_is_counted(ruled):
    word = ruled.kernel.control().word
    empty(ruled, word.active, word.fallback)
    assert ruled.reason(IN, tcp_packet(STRANGER, 7, US, 22, SYN)) is Reason.UNENFORCED


# --- packets ----------------------------------------------------------------------------------------

WHOLE = tcp_packet(PEER, 1000, US, 80, ACK)
ODD = {
    "options cut short": (WHOLE[:14] + b"\x4f" + WHOLE[15:], Reason.MALFORMED),
    "packet cut short": (WHOLE[:-1], Reason.MALFORMED),
    "version 5": (WHOLE[:14] + b"\x55" + WHOLE[15:], Reason.MALFORMED),
    "header length 16": (WHOLE[:14] + b"\x44" + WHOLE[15:], Reason.MALFORMED),
    "SYN and RST": (tcp_packet(PEER, 1000, US, 80, SYN | RST), Reason.MALFORMED),
    "unknown ethertype": (ethernet(bytes(46), 0x88CC), Reason.NON_IP),
}


@pytest.mark.parametrize("name", ODD)
def test_only_a_broken_ip_packet_is_dropped_for_what_it_is(ruled, name):
    packet, reason = ODD[name]
    assert ruled.reason(IN, packet) is reason
    assert ruled.ingress(packet) == (reason is Reason.NON_IP)
    still_rules(ruled)


# --- the agent ----------------------------------------------------------------------------------------

SERVICE = 5432
OPEN = bundle(rule("p/db", f"tcp/{SERVICE}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
TIGHTER = bundle(rule("p/db", f"tcp/{SERVICE}", (1,)), endpoints={PEER: 1})


@pytest.fixture(scope="module")
def world():
    made = World()
    made.serve(made.us, SERVICE)
    made.serve(made.us, 22)
    yield made
    made.close()


@pytest.fixture
def host(world, tmp_path_factory, tmp_path):
    """A host whose agent enforces OPEN; its release is a copy that a test may spoil."""
    mount = tmp_path_factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", mount], check=True)
    made = Host(world, tmp_path, mount)
    made.release = tmp_path / "release"
    made.release.mkdir()
    shutil.copy(ROOT / "build/tcmicro.bpf.o", made.release)
    made._argv = [word.replace(str(ROOT / "build"), str(made.release)) for word in made._argv]
    made.configure(mode="protect", policy={"rules": 1024})
    made.start()
    assert made.run("policy", "apply", made.write(OPEN))[0] == 0
    yield made
    if made.daemon.poll() is None:
        made.stop()
    made.run("detach")
    subprocess.run(["umount", mount], check=True)


def enforces(host) -> None:
    assert tcp(host.world.peer, US, SERVICE)
    assert not tcp(host.world.peer, US, 22)


def start_fails(host) -> str:
    """What an agent says that gives up at its start."""
    done = subprocess.run(
        [*host._argv, "run"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode not in (0, 2), done
    return done.stderr


@AGENT
def test_a_dead_agent_leaves_everything_in_force_its_deadlines_included(host):
    host.stop(signal.SIGKILL)
    before = denied(host)
    with connection(host.world.peer, US, SERVICE) as client:
        assert talks(client)
    enforces(host)
    assert denied(host) > before
    closed = bundle(egress=Action.ALLOW)
    assert host.run("policy", "apply", host.write(closed), "--confirm-within", "13")[0] == 0
    assert not tcp(host.world.peer, US, SERVICE)
    deadline = time.monotonic() + 40
    while not tcp(host.world.peer, US, SERVICE):
        assert time.monotonic() < deadline, "the kernel did not take it back"
    enforces(host)


def denied(host) -> int:
    kernel = Kernel(host.pins)
    try:
        return kernel.counters()[abi.counter_index(IN, Reason.DEFAULT_DENY, Bank.ENFORCED)][0]
    finally:
        kernel.close()


@AGENT
def test_a_boot_brings_the_confirmed_policy_back(host):
    before = host.status()["policy"]
    host.stop()
    for pin in sorted(
        host.pins.rglob("*"), reverse=True
    ):  # nothing of a bpf file system outlives a boot
        pin.rmdir() if pin.is_dir() else pin.unlink()
    host.start()
    enforces(host)
    after = host.status()["policy"]
    assert (after["digest"], after["state"]) == (before["digest"], "committed")
    assert after["rules"] == before["rules"]


@AGENT
def test_a_policy_too_big_is_refused_with_what_to_do(host):
    before = host.status()["policy"]
    too_big = bundle(*(rule(f"p/{n}", f"tcp/{n + 1}") for n in range(1100)))
    code, error = host.run("policy", "apply", host.write(too_big))
    assert code == 3
    assert "tcm_rules: this policy has 1100 entries" in error["error"]["message"]
    assert "raise policy.rules" in error["error"]["hint"]
    assert host.status()["policy"] == before
    enforces(host)


@AGENT
def test_a_release_whose_object_cannot_be_loaded_leaves_the_one_before_attached(host, tmp_path):
    host.stop()
    target = host.release / "tcmicro.bpf.o"
    for fault, _ in OBJECT_FAULTS:
        target.unlink()
        if (made := fault(tmp_path)).exists():
            shutil.copy(made, target)
            (tmp_path / "x.o").unlink(missing_ok=True)
        assert "tcmicro.bpf.o" in start_fails(host)
        enforces(host)
        status = host.status()
        assert (status["agent"]["running"], status["drift"]) == (False, [])
        target.touch()
    shutil.copy(ROOT / "build/tcmicro.bpf.o", target)
    host.start()
    enforces(host)


@AGENT
def test_a_spoilt_file_stops_the_agent_and_not_enforcement(host):
    host.run("policy", "apply", host.write(TIGHTER), "--confirm-within", "600")
    host.stop()
    for name in ("state.json", "txn.json"):
        path = host.root / "var/lib/tcmicro" / name
        kept = path.read_text()
        path.write_text("{")
        assert str(path) in start_fails(host)
        enforces(host)
        path.write_text(kept)
    host.start()
    assert host.status()["transaction"]["state"] == "pending"
    enforces(host)

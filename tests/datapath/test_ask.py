"""tcm_ask: the verdict that a flow's first packet would get, and nothing that shows it was asked."""

from __future__ import annotations

import mmap
import os
from ipaddress import ip_network

import pytest
from builders import bundle, rule
from conftest import OBJECT
from hypothesis import HealthCheck, Phase, given, seed, settings
from packets import ACK, echo, tcp_packet, udp_packet
from policies import QUIET, bundles, first_packet_of, flows
from seeds import base_seed, scaled

from tcmicro_agent import abi
from tcmicro_agent.abi import Direction, Reason, Verdict
from tcmicro_agent.config import Failsafe
from tcmicro_agent.datapath import libbpf
from tcmicro_agent.datapath.ask import Answer, asking
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.datapath.programs import ASK
from tcmicro_agent.errors import KernelError
from tcmicro_agent.policy.evaluate import evaluate
from tcmicro_agent.policy.model import Action, Mode, Protocol
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.tables import DEFAULT_UID, DIRECTIONS, VERDICTS
from tcmicro_agent.tuning import Limits, Tuning

US, WEB, OTHER = "10.0.0.1", "10.0.0.2", "10.9.9.9"
IN, OUT = Direction.INGRESS, Direction.EGRESS
POLICY = bundle(rule("p/db", "tcp/5432", (1,)), endpoints={WEB: 1, "fd00::2": 1})
EVERY_REASON = Tuning(event_reasons=tuple(Reason), syn_source=Limits(1, 1))
QUESTIONS = 20_000


@pytest.fixture(scope="module")
def ask(kernel):
    with asking(kernel, OBJECT) as function:
        yield function


def test_the_rule_the_peer_and_the_generation_are_named(datapath, ask):
    datapath.enforce(POLICY)
    number = datapath.numbers["p/db"]
    expected = Answer(Verdict.ALLOW, Reason.RULE_ALLOW, number, 1, datapath.generation)
    assert ask(IN, tcp_packet(WEB, 1, US, 5432)) == expected
    assert ask(IN, tcp_packet("fd00::2", 1, "fd00::1", 5432)) == expected
    assert ask(IN, tcp_packet(OTHER, 1, US, 5432)).reason is Reason.DEFAULT_DENY
    assert ask(OUT, tcp_packet(US, 1, WEB, 5432)).reason is Reason.DEFAULT_DENY


def test_what_policy_does_not_decide(datapath, ask):
    assert ask(IN, tcp_packet(OTHER, 1, US, 22)).reason is Reason.UNENFORCED
    datapath.enforce(bundle())
    ssh = Failsafe(Way.INGRESS, Protocol.TCP, 22, ip_network(f"{OTHER}/32"))
    datapath.kernel.set_failsafe(frozenset({ssh.key()}))
    assert ask(IN, tcp_packet(OTHER, 1, US, 22)).reason is Reason.FAILSAFE
    assert ask(OUT, udp_packet(US, 68, "255.255.255.255", 67)).reason is Reason.DHCP
    assert ask(IN, tcp_packet(WEB, 1, US, 22, ACK)).reason is Reason.NO_SESSION
    assert ask(IN, echo(WEB, US, 7, reply=True)).reason is Reason.NO_SESSION
    assert ask(IN, tcp_packet(WEB, 1, US, 22)[:50]).reason is Reason.MALFORMED


def test_an_expired_policy_is_not_the_one_that_answers(datapath, ask):
    datapath.enforce(POLICY)
    datapath.enforce(bundle(ingress=Action.ALLOW))
    word = datapath.kernel.control().word
    datapath.kernel.transition(word.encode(), abi.Word(word.active, word.fallback, 1).encode())
    assert ask(IN, tcp_packet(OTHER, 1, US, 22)).generation == datapath.generation - 1


def test_monitor_mode_does_not_change_the_verdict(datapath, ask):
    datapath.enforce(bundle(mode=Mode.MONITOR))
    assert ask(IN, tcp_packet(OTHER, 1, US, 22)).verdict is Verdict.DENY


def _traces(kernel: Kernel) -> dict[str, object]:
    """The content of every map, as the kernel hands it out."""
    names = sorted(path.name for path in kernel.pins.iterdir() if path.name.startswith("tcm_"))
    names.remove("tcm_events")
    found = {name: list(kernel.map(name).chunks()) for name in names}
    return {**found, "tcm_events": _events_produced(kernel)}


def _events_produced(kernel: Kernel) -> bytes:
    """How many bytes of events there ever were: the first word of the ring buffer's second page."""
    page, fd = mmap.PAGESIZE, libbpf.get(kernel.pins / "tcm_events")
    with mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ, offset=page) as produced:
        word = produced[:8]
    os.close(fd)
    return word


@pytest.mark.parametrize("port", [5432, 22])
def test_a_question_leaves_no_trace(datapath, ask, port):
    datapath.enforce(POLICY)
    datapath.tune(EVERY_REASON)
    before = _traces(datapath.kernel)
    for client in range(50):
        ask(IN, tcp_packet(WEB, 1000 + client, US, port))
        ask(OUT, udp_packet(US, 1000 + client, OTHER, port))
    assert _traces(datapath.kernel) == before
    datapath.ingress(tcp_packet(WEB, 1000, US, port))
    assert _traces(datapath.kernel) != before


def test_it_is_not_loaded_with_the_others_nor_pinned_by_a_question(datapath, ask):
    pins = {path.name for path in (datapath.kernel.pins / "programs").iterdir()}
    assert ASK not in pins
    assert "tcm_ingress" in pins


def test_without_a_datapath_nothing_is_made(bpffs):
    empty = Kernel(bpffs / "elsewhere" / "2")
    with pytest.raises(KernelError, match="is not loaded"), asking(empty, OBJECT):
        pass
    assert not empty.pins.exists()


def test_answers_are_those_of_the_oracle(datapath, ask, say):
    first, compared = base_seed(), 0
    datapath.tune(QUIET)

    @settings(
        max_examples=20,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(policy=bundles())
    def agrees(policy):
        nonlocal compared
        datapath.enforce(policy)
        for flow in flows(policy):
            answer = ask(DIRECTIONS[flow.direction], first_packet_of(flow, 40_000))
            verdict = evaluate(policy, flow)
            uid = verdict.rule or DEFAULT_UID.format(flow.direction.value)
            passes = Verdict.ALLOW if verdict.audited else VERDICTS[verdict.action]
            assert answer.audited is verdict.audited
            assert answer == Answer(
                passes,
                Reason[verdict.reason.value.upper()],
                datapath.numbers[uid],
                verdict.identity,
                datapath.generation,
            ), flow
            compared += 1

    say(f"TCM_SEED={first}")
    while compared < scaled(QUESTIONS):
        seed(first + compared)(agrees)()
    say(f"{compared} answers")

"""Which probes show that a policy does what it says, and the process that makes them; then the play around both."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest
from ansible_collections.tcmicro.fleet.plugins.action import policy as action
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import prober, probes
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.confirmation import (
    TRIES,
    Clock,
    make_live,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.probes import Target
from builders import bundle, rule

from tcmicro_agent.policy.evaluate import Action

CONTROLLER, NOW = "10.0.0.9", 1_800_000_000.0
OURS = {CONTROLLER: 1}


def chosen(*rules, **more):
    policy = bundle(*rules, endpoints=OURS, **more)
    return probes.choose_probes(policy, CONTROLLER, 22, NOW)


def test_what_the_policy_allows_the_controller_besides_ssh():
    ssh, metrics = rule("p/ssh", "tcp/22", (1,)), rule("p/metrics", "tcp/9931", (1,))
    assert chosen(ssh, metrics) == (Target("tcp", 9931, "allow"),)


def test_at_most_three_are_tried_and_of_a_range_one_port():
    services = ("tcp/80-90", "udp/53", "tcp/443", "tcp/8080")
    many = [rule(f"p/{n}", service, (1,)) for n, service in enumerate(services)]
    assert [(t.protocol, t.port) for t in chosen(*many)] == [("tcp", 80), ("udp", 53), ("tcp", 443)]


def test_what_others_may_or_another_rule_forbids_is_not_tried():
    others = rule("p/db", "tcp/5432", (2,))
    denied = rule("p/no", "tcp/9931", (1,), action=Action.DENY)
    allowed = rule("p/yes", "tcp/9931", (1,))
    assert [t.expected for t in chosen(others, denied, allowed)] == ["deny"]


def test_a_port_that_it_refuses_where_it_allows_nothing():
    (target,) = chosen(rule("p/ssh", "tcp/22", (1,)))
    assert (target.protocol, target.expected) == ("tcp", "deny")
    taken = rule("p/busy", f"tcp/{target.port}", (2,))
    assert chosen(taken) == (target,)


def test_a_policy_open_by_default_is_tried_at_an_unlikely_port():
    (target,) = chosen(ingress=Action.ALLOW)
    assert (target.port, target.expected) == (probes.UNLIKELY[0], "allow")


def test_any_protocol_means_tcp():
    assert chosen(rule("p/any", "any", (1,)))[0] == Target("tcp", probes.UNLIKELY[0], "allow")


# --- the process ---


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_each_probe_is_a_new_connection_and_says_from_where(listener):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    ports = [("tcp", listener), ("tcp", closed), ("udp", closed)]
    targets = [{"protocol": protocol, "port": port} for protocol, port in ports]
    asked = {"destination": "127.0.0.1", "targets": targets, "timeout_s": 5}
    found = action.knock([], asked)
    assert [f["outcome"] for f in found] == ["answered", "refused", "sent"]
    assert [(f["protocol"], f["port"]) for f in found] == ports
    assert {f["source"] for f in found} == {"127.0.0.1"}
    assert all(f["source_port"] for f in found)


def test_probes_are_made_from_where_hosts_are_reached(tmp_path):
    script = tmp_path / "via"
    script.write_text('#!/bin/sh\necho "[{\\"via\\": \\"$1\\"}]"\n')
    script.chmod(0o755)
    assert action.knock([str(script)], {}) == [{"via": sys.executable}]


@pytest.mark.parametrize("via", [["/nowhere"], ["false"]])
def test_what_cannot_be_probed_is_no_evidence_and_no_crash(via):
    assert action.knock(via, {}) == []


def test_the_prober_needs_nothing_but_python():
    done = subprocess.run(
        [sys.executable, "-I", prober.__file__],
        input=json.dumps({"destination": "::1", "targets": [], "timeout_s": 1}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []


# --- the play ---

APPLIED = {
    "changed": True,
    "generation": 4,
    "digest": "n",
    "transaction": {"id": "t", "token": "x"},
}
REFUSED = {"failed": True, "code": 3, "msg": "no flow that it judged"}
LEASED = {"changed": True, "generation": 4, "digest": "n", "state": "leased"}
STATUS = {"policy": {"generation": 3, "digest": "o"}, "transaction": None}


def play(*confirms):
    """A host that answers its confirmations so; the operations asked, and the result."""
    asked, answers, time = [], list(confirms), [0.0]

    def ask(operation, more):
        asked.append((operation, more.get("shown")))
        if operation == "apply":
            return dict(APPLIED)
        return answers.pop(0) if operation == "confirm" else STATUS

    def sleep(seconds):
        time[0] += seconds

    made = iter(range(99))
    clock = Clock(now=lambda: time[0], sleep=sleep)
    return asked, make_live("db1", "n", 60, ask, clock, lambda _: {"probes": [next(made)]})


def test_two_calls_of_the_module_are_enough():
    asked, result = play({**LEASED, "state": "committed"})
    assert asked == [("apply", None), ("confirm", {"probes": [0]})]
    assert result["transaction"] is None


def test_a_lease_leaves_its_ticket():
    assert play(LEASED)[1]["transaction"] == APPLIED["transaction"]


def test_evidence_that_was_refused_is_gathered_anew():
    asked, result = play(REFUSED, LEASED)
    assert [shown for operation, shown in asked if operation == "confirm"] == [
        {"probes": [0]},
        {"probes": [1]},
    ]
    assert not result.get("failed")


def test_but_not_for_ever():
    asked, result = play(*[REFUSED] * TRIES)
    assert [operation for operation, _ in asked].count("confirm") == TRIES
    assert result["failed"]
    assert "no flow that it judged" in result["msg"]


def test_why_it_was_refused_is_said_though_it_is_too_late_then():
    late = {"failed": True, "code": 8, "msg": "not confirmed in time"}
    assert "no flow that it judged" in play(REFUSED, late)[1]["msg"]

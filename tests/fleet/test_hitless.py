"""Enforcement and live flows under an agent that is stopped, killed, started and exchanged: nothing is lost, nothing
escapes. On one host in namespaces, installed as on a fleet but without systemd, so that a restart is nothing else.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builders import bundle, rule

from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.model import Action
from tests.bench.host import VERSIONS, installed
from tests.bench.loaded import bpf_filesystem, empty_namespace

pytestmark = pytest.mark.root

FLOWS = Path(__file__).with_name("flows.py")
US, PEER = "10.255.0.1", "10.0.0.9"
OPEN, CLOSED = 8000, 9000
RATE = 1000  # messages a second and flow
RESTARTS, EXCHANGES = 50, 20
LONG_S = 5  # so that what passes before the senders are up is no tenth of it
ALLOW = bundle(
    rule("p/open", f"tcp/{OPEN} udp/{OPEN}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW
)
DENY = bundle(egress=Action.DENY)


class Flows:
    """tests/fleet/flows.py between the namespaces of a host, for the length of a `with`; then what became of them."""

    def __init__(self, host) -> None:
        spaces = [f"/run/netns/{space.name}" for space in (host.space.client, host.space.server)]
        self._argv = [sys.executable, str(FLOWS), *spaces, US, str(OPEN), str(CLOSED)]
        self.found: dict = {}

    def __enter__(self):
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._argv, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        output, _ = self._process.communicate(timeout=60)
        self.found = json.loads(output)

    def __getitem__(self, name):
        return self.found["flows"][name]

    def __str__(self) -> str:
        said = [f"{name}: {flow}" for name, flow in self.found["flows"].items()]
        return f"{self.found['seconds']:.0f} s; " + "; ".join(said)


@pytest.fixture(scope="module")
def host():
    with contextlib.ExitStack() as stack:
        stack.enter_context(empty_namespace())
        bpffs = stack.enter_context(bpf_filesystem())
        made = stack.enter_context(installed("hitless", bpffs))
        made.start()
        yield made


@pytest.fixture
def enforcing(host):
    """A host whose agent runs and whose policy allows OPEN alone."""
    apply(host, ALLOW)
    yield host
    host.stop()
    host.switch(VERSIONS[0])
    host.start()


def apply(host, policy) -> None:
    (host.root / "etc/bundle.json").write_bytes(bundles.write(policy).content)
    host.run("policy", "apply", "/etc/tcmicro/bundle.json", "--json")


def untouched(flows: Flows) -> None:
    """Nothing lost, nothing reset, nothing that escaped, at the rate that was promised."""
    for name in ("tcp", "udp", "denied"):
        assert flows[name]["sent"] >= RATE * flows.found["seconds"], str(flows)
        assert not flows[name]["fault"], str(flows)
    for name in ("tcp", "udp"):
        assert flows[name]["arrived"] == flows[name]["sent"], str(flows)
        assert not flows[name]["jumps"], str(flows)
    assert flows["denied"]["arrived"] == 0, str(flows)


def test_restarts_and_crashes_touch_no_flow(enforcing, say):
    with Flows(enforcing) as flows:
        for n in range(RESTARTS):
            enforcing.stop(signal.SIGKILL if n % 2 else signal.SIGTERM)
            enforcing.start()
    say(f"{RESTARTS} restarts in {flows}")
    untouched(flows)


def test_upgrades_and_downgrades_touch_no_flow(enforcing, say):
    with Flows(enforcing) as flows:
        for n in range(EXCHANGES):
            version = VERSIONS[(n + 1) % 2]
            enforcing.switch(version)
            enforcing.stop()
            enforcing.start()
            status = json.loads(enforcing.run("status", "--json").output)
            assert status["agent"]["release"] == version
            assert not status["drift"]
    say(f"{EXCHANGES} exchanges in {flows}")
    untouched(flows)


def test_no_agent_at_all_touches_no_flow(enforcing, say):
    enforcing.stop()
    with Flows(enforcing) as flows:
        enforcing.run("status", "--json")
        time.sleep(LONG_S)
    say(str(flows))
    untouched(flows)


def test_the_measurement_sees_what_escapes(enforcing, say):
    """Control: an agent that detaches and attaches again."""
    with Flows(enforcing) as flows:
        enforcing.stop()
        enforcing.run("detach", "--json")
        enforcing.start()
    say(str(flows))
    assert 0 < flows["denied"]["arrived"] < flows["denied"]["sent"]


def test_the_measurement_sees_what_is_lost(enforcing, say):
    """Control: a policy that allows neither flow, for a moment."""
    with Flows(enforcing) as flows:
        apply(enforcing, DENY)
        apply(enforcing, ALLOW)
    say(str(flows))
    assert flows["udp"]["arrived"] < flows["udp"]["sent"]
    assert flows["udp"]["jumps"]
    assert flows["tcp"]["longest_gap_s"] > 0.1

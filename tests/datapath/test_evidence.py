"""Confirming a policy takes evidence: the agent as processes in a namespace, probes as real packets of a peer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from builders import bundle, rule
from left_out import AGENT
from test_agent import ROOT, Host
from world import PEER, US, World, connection, talks, tcp

from tcmicro_agent.policy.model import Action, Mode

pytestmark = AGENT
SERVICE, CLOSED_PORT, SSH = 5432, 5433, 22
BEFORE = bundle(rule("p/db", f"tcp/{SERVICE}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
AFTER = bundle(
    rule("p/db", f"tcp/{SERVICE}", (1,)),
    rule("p/web", "tcp/80", (1,)),
    endpoints={PEER: 1},
    egress=Action.ALLOW,
)
NOT_FOR_THE_CONTROLLER = bundle(rule("p/db", f"tcp/{SERVICE}", (1,)), endpoints={"10.9.9.9": 1})
CUT_OFF = bundle()
FAILSAFE = [{"direction": "ingress", "protocol": "tcp", "port": SSH, "cidr": f"{PEER}/32"}]

# The server of one connection: what it runs has come by ssh.
SERVER = """
import os, subprocess, sys
came = {**os.environ, "SSH_CONNECTION": sys.argv[1]}
sys.exit(subprocess.run(sys.argv[2:], env=came).returncode)
"""
# The same, but it waits to be told what came.
WAITING = """
import json, os, subprocess, sys
connection, *argv = json.loads(sys.stdin.readline())
subprocess.run(argv, env={**os.environ, "SSH_CONNECTION": connection}, stdin=subprocess.DEVNULL)
"""
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
# A new connection from the peer, as the controller makes it.
PROBE = """
import json, socket, sys
ours, theirs, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
with socket.create_server((ours, 0)) as free: mine = free.getsockname()[1]
with socket.socket() as s:
    s.settimeout(1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((ours, mine))
    try: s.connect((theirs, port)); outcome = "answered"
    except socket.timeout: outcome = "timeout"
    except ConnectionRefusedError: outcome = "refused"
print(json.dumps({"source": ours, "source_port": mine, "destination": theirs, "port": port,
    "protocol": "tcp", "started_at": "now", "outcome": outcome}))
"""


class Reached(Host):
    """A host that a controller reaches by ssh from the peer."""

    def by_ssh(self, *words: str, evidence: list | None = None) -> tuple[int, dict]:
        came = f"{PEER} 50000 {US} {SSH}"
        argv = [sys.executable, "-c", SERVER, came, *self._argv, *words, "--json"]
        sent = json.dumps({"probes": evidence or []})
        done = subprocess.run(
            argv, capture_output=True, text=True, cwd=ROOT, check=False, input=sent, timeout=60
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def probe(self, port: int) -> dict:
        return json.loads(self.world.peer.run(sys.executable, "-c", PROBE, PEER, US, str(port)))

    def arm(self, policy, requirement: str = "required") -> list[str]:
        """Makes it live until it is confirmed; the words that confirm it."""
        words = ("policy", "apply", self.write(policy), "--confirm-within", "40")
        code, answer = self.by_ssh(*words, "--evidence", requirement)
        assert code == 0, answer
        ticket = answer["transaction"]
        return ["policy", "confirm", ticket["id"], "--token", ticket["token"], "--evidence", "-"]


@pytest.fixture(scope="module")
def world():
    made = World()
    made.serve(made.us, SERVICE)
    made.serve(made.us, SSH)
    yield made
    made.close()


@pytest.fixture(scope="module")
def reached(world, tmp_path_factory):
    mount = tmp_path_factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", mount], check=True)
    made = Reached(world, tmp_path_factory.mktemp("host"), mount)
    made.configure(mode="protect", failsafe=FAILSAFE)
    made.start()
    yield made
    made.stop()
    made.run("detach")
    subprocess.run(["umount", mount], check=True)


@pytest.fixture
def host(reached):
    """It enforces BEFORE, and nothing is pending."""
    reached.run("policy", "revert")
    assert reached.run("policy", "apply", reached.write(BEFORE))[0] == 0
    reached.before = reached.status()["policy"]["generation"]
    return reached


def test_a_service_that_the_policy_allows_is_evidence(host):
    words = host.arm(AFTER)
    code, answer = host.by_ssh(*words, evidence=[host.probe(80)])  # nobody listens there
    assert (code, answer["state"]) == (0, "committed"), answer
    assert host.status()["transaction"]["state"] == "confirmed"


def test_a_refusal_is_evidence_where_the_policy_lets_others_in(host):
    words = host.arm(NOT_FOR_THE_CONTROLLER)
    probe = host.probe(CLOSED_PORT)
    assert probe["outcome"] == "timeout"
    assert host.by_ssh(*words, evidence=[probe])[0] == 0


def test_ssh_works_and_nothing_else_is_not_confirmed_and_goes_back(host):
    words = host.arm(CUT_OFF)
    assert tcp(host.world.peer, US, SSH)
    assert not tcp(host.world.peer, US, SERVICE)
    for port in (SSH, CLOSED_PORT):
        code, error = host.by_ssh(*words, evidence=[host.probe(port)])
        assert code == 3, error
    assert "it lets nobody in" in error["error"]["message"]
    assert host.run("policy", "revert")[0] == 0
    assert tcp(host.world.peer, US, SERVICE)


def test_the_same_in_mode_monitor_is_confirmed_by_an_audited_refusal(host):
    words = host.arm(replace(CUT_OFF, mode=Mode.MONITOR))
    probe = host.probe(CLOSED_PORT)
    assert probe["outcome"] == "refused"  # by the host: nobody listens
    assert host.by_ssh(*words, evidence=[probe])[0] == 0


FAULTS = {
    "nothing was tried": (lambda host, probes: [], "none that were tried"),
    "only what the failsafe keeps open": (
        lambda host, probes: [host.probe(SSH)],
        "none that were tried",
    ),
    "tried before the policy was live": (lambda host, probes: probes, "no flow that it judged"),
    "invented": (
        lambda host, probes: [{**probes[0], "source_port": 1, "port": 81}],
        "no flow that it judged",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_evidence_is_refused_and_the_change_stays_pending(host, name):
    make, says = FAULTS[name]
    before = [host.probe(SERVICE)]
    words = host.arm(AFTER)
    code, error = host.by_ssh(*words, evidence=make(host, before))
    assert code == 3, error
    assert says in error["error"]["message"]
    assert host.status()["transaction"]["state"] == "pending"
    assert host.by_ssh(*words, evidence=[host.probe(SERVICE)])[0] == 0


def test_an_older_flow_that_goes_on_is_no_evidence(host):
    """Its session is stamped by the new policy, but nobody opened it under that."""
    with connection(host.world.peer, US, SERVICE) as client:
        assert talks(client)
        words = host.arm(AFTER)
        assert talks(client)
        mine = client.getsockname()[1]
        stale = {**host.probe(81), "source_port": mine, "port": SERVICE}
        code, error = host.by_ssh(*words, evidence=[stale])
    assert code == 3, error
    assert "no flow that it judged" in error["error"]["message"]


def test_a_connection_older_than_the_policy_confirms_nothing(host):
    with subprocess.Popen([sys.executable, "-c", WAITING], **PIPES) as server:
        words = host.arm(AFTER, "ssh")
        came = f"{PEER} 50000 {US} {SSH}"
        server.stdin.write(json.dumps([came, *host._argv, *words[:-2], "--json"]) + "\n")
        server.stdin.flush()
        error = json.loads(server.communicate(timeout=60)[0])
    assert "older than the policy" in error["error"]["message"], error
    assert "did not come by ssh" in host.run(*words[:-2])[1]["error"]["message"]
    assert host.by_ssh(*words)[0] == 0


def test_a_lease_lapses_by_itself_or_is_renewed_or_committed(host):
    words = host.arm(AFTER)
    code, answer = host.by_ssh(*words, "--lease", "5", evidence=[host.probe(80)])
    assert (code, answer["state"]) == (0, "leased"), answer
    ticket = words[2:5]
    assert host.run("policy", "renew", *ticket, "--lease", "6")[0] == 0
    assert host.status()["transaction"]["state"] == "leased"
    deadline = time.monotonic() + 20
    while host.status()["policy"]["generation"] != host.before:
        assert time.monotonic() < deadline, "the lease does not lapse"
    assert host.run("policy", "commit", *ticket)[0] == 8
    words = host.arm(AFTER)
    assert host.by_ssh(*words, "--lease", "60", evidence=[host.probe(80)])[0] == 0
    assert host.run("policy", "commit", *words[2:5])[0] == 0
    assert not host.run("policy", "commit", *words[2:5])[1]["changed"]


def test_a_controller_that_was_overtaken_is_refused(host):
    path = host.write(AFTER)
    assert host.run("policy", "apply", path, "--confirm-within", "40", "--epoch", "7")[0] == 0
    for words in (("revert",), ("apply", path)):
        code, error = host.run("policy", *words, "--epoch", "6")
        assert code == 3
        assert "epoch 6 is over" in error["error"]["message"]
    assert host.run("policy", "revert", "--epoch", "8")[0] == 0


def test_a_deadline_without_room_for_the_way_back_is_refused_with_the_number(host):
    code, error = host.run("policy", "apply", host.write(AFTER), "--confirm-within", "9")
    assert code == 3
    assert "at least 10." in error["error"]["message"]
    assert host.status()["policy"]["state"] == "committed"


def test_a_hook_that_somebody_took_is_found_and_the_policy_taken_back_at_once(host):
    os.kill(host.daemon.pid, signal.SIGSTOP)  # or it would put it back
    try:
        host.lose_hooks()
        code, error = host.run("policy", "apply", host.write(AFTER), "--confirm-within", "40")
    finally:
        os.kill(host.daemon.pid, signal.SIGCONT)
    assert code == 8, error
    assert "taken back at once: attachment: no program of ours on eth0" in error["error"]["message"]
    assert host.status()["policy"]["generation"] == host.before

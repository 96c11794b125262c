"""`tc-micro event` as a process beside a running agent: what it prints, what it changes, and that it puts it back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from builders import bundle, rule
from flooding import call
from left_out import AGENT
from test_agent import Host
from world import PEER, US, World, connection, talks, tcp

from tcmicro_agent import abi
from tcmicro_agent.abi import Reason, Setting
from tcmicro_agent.cli.event_text import HEADER
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.events import reason_bits
from tcmicro_agent.policy import model
from tcmicro_agent.policy.model import Action
from tcmicro_agent.tuning import DECISIONS

pytestmark = AGENT

SERVICE = 5432
OPEN = bundle(rule("p/db", f"tcp/{SERVICE}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
WAIT_S = 15
DEFAULT, WITH_SESSION = reason_bits(DECISIONS), reason_bits([*DECISIONS, Reason.SESSION])


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Follower:
    """One `tc-micro event follow`, from when it reads on."""

    def __init__(self, host: Host, *words: str) -> None:
        self.host = host
        self._argv = [*host._argv, "event", "follow", *words]
        self.said = host.root / "run/tcmicro/follower.json"
        self.process = subprocess.Popen(
            self._argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=host.root
        )
        until(self.said.exists, "the follower did not start")
        self.pid = json.loads(self.said.read_text())["pid"]

    def end(self, number: int = signal.SIGTERM) -> tuple[str, str]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return self.process.communicate(timeout=WAIT_S)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    world = World()
    world.serve(world.us, SERVICE)
    bpffs = tmp_path_factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", bpffs], check=True)
    made = Host(world, tmp_path_factory.mktemp("root"), bpffs)
    made.configure(mode="protect")
    made.start()
    yield made
    if made.daemon.poll() is None:
        made.stop()
    made.run("detach")
    subprocess.run(["umount", bpffs], check=True)
    world.close()


@pytest.fixture
def enforcing(host):
    """An agent of the default configuration, and a policy of its own for every test."""
    if host.daemon.poll() is not None:
        host.configure(mode="protect")
        host.start()
    host.run("policy", "apply", host.write(bundle()))
    host.run("policy", "apply", host.write(OPEN))
    return host


def settings(host: Host) -> list[int]:
    """Of the kernel: hz first, then as struct tcm_settings."""
    kernel = Kernel(host.bpffs / "tcmicro" / str(abi.ABI))
    try:
        return list(abi.SETTINGS.unpack(kernel.map("tcm_settings").get(abi.U32.pack(0))))
    finally:
        kernel.close()


def told(host: Host) -> int:
    return settings(host)[Setting.EVENT_REASONS]


def test_decisions_are_followed_with_names_and_sources(enforcing):
    follower = Follower(enforcing, "--json", "--limit", "1", "--reason", "default_deny")
    until(
        lambda: not tcp(enforcing.world.peer, US, 22) and follower.process.poll() is not None,
        "no event came",
    )
    out, err = follower.process.communicate()
    event = json.loads(out)
    assert (follower.process.returncode, err) == (0, "")
    remote_port = event.pop("remote_port")
    assert remote_port > 1023
    assert abs(time.time() - _seconds(event.pop("time"))) < 60
    assert event.pop("bytes") >= 54
    assert event == {
        "apiVersion": "tcmicro/v1",
        "kind": "Event",
        "verdict": "deny",
        "direction": "ingress",
        "reason": "default_deny",
        "bank": "enforced",
        "generation": enforcing.status()["policy"]["generation"],
        "protocol": "tcp",
        "local": US,
        "local_port": 22,
        "remote": PEER,
        "identity": "id1",
        "rule": "default/ingress",
        "source": "p",
        "interface": "eth0",
    }


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_people_get_a_line_each_and_no_colours_in_a_pipe(enforcing):
    follower = Follower(enforcing, "--limit", "1", "--reason", "rule_allow")
    assert tcp(enforcing.world.peer, US, SERVICE)
    header, line = follower.process.communicate(timeout=WAIT_S)[0].splitlines()
    assert header.split() == [name for name in HEADER if name]
    assert line.split()[1:5] == ["allow", "ingress", "rule_allow", "tcp"]
    generation = enforcing.status()["policy"]["generation"]
    assert line.endswith(f"id1               p/db (test.yml:1) generation {generation}")
    assert "\033" not in line


def test_a_rule_is_told_as_it_says_whatever_is_asked_for(enforcing):
    ports = {SERVICE: model.Log.ALL, 5433: model.Log.NONE}
    rules = [replace(rule(f"p/{n}", f"tcp/{n}", (1,)), log=log) for n, log in ports.items()]
    quiet = {"events": {"reasons": ["default_deny"]}}
    enforcing.stop()
    enforcing.configure(mode="protect", **quiet)
    enforcing.start()
    enforcing.run("policy", "apply", enforcing.write(bundle(*rules, endpoints={PEER: 1})))
    follower = Follower(enforcing, "--json", "--limit", "2")
    peer = enforcing.world.peer
    for port in (5433, SERVICE):
        tcp(peer, US, port)
    until(lambda: not tcp(peer, US, 22) and follower.process.poll() is not None, "not all came")
    told = [json.loads(line) for line in follower.process.communicate()[0].splitlines()]
    assert [(e["verdict"], e["reason"], e["local_port"]) for e in told] == [
        ("allow", "rule_allow", SERVICE),
        ("deny", "default_deny", 22),
    ]
    enforcing.stop()


def test_it_ends_after_its_time(enforcing):
    follower = Follower(enforcing, "--seconds", "1", "--json")
    assert follower.process.communicate(timeout=WAIT_S) == ("", "")
    assert follower.process.returncode == 0


def test_a_reader_that_has_seen_enough_ends_it_quietly(enforcing):
    follower = Follower(enforcing, "--json", "--reason", "default_deny")
    follower.process.stdout.close()
    until(
        lambda: not tcp(enforcing.world.peer, US, 22) and follower.process.poll() is not None,
        "it goes on without a reader",
    )
    assert (follower.process.returncode, follower.process.stderr.read()) == (0, "")
    follower.process.stderr.close()


def test_one_follows_at_a_time(enforcing):
    follower = Follower(enforcing)
    code, error = enforcing.run("event", "follow", "--seconds", "1")
    assert code == 7
    assert f"process {follower.pid} follows the events" in error["error"]["message"]
    follower.end()
    assert not follower.said.exists()
    assert Follower(enforcing, "--seconds", "1").process.wait(WAIT_S) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_it_asked_for_ends_with_it(enforcing, number):
    follower = Follower(enforcing, "--reason", "session", "rule_allow")
    until(lambda: told(enforcing) == WITH_SESSION, "session is not told")
    follower.end(number)
    assert follower.process.returncode == 128 + number
    until(lambda: told(enforcing) == DEFAULT, "session is still told")


def test_it_tells_every_packet_as_long_as_the_agent_agrees(enforcing):
    follower = Follower(enforcing, "--reason", "session", "--json")
    with connection(enforcing.world.peer, US, SERVICE) as client:
        for _ in range(25):
            assert talks(client)
            time.sleep(0.1)  # across several rounds of the agent
    lines = follower.end()[0].splitlines()
    assert len(lines) > 50
    assert {json.loads(line)["reason"] for line in lines} == {"session"}


def test_after_its_crash_the_agent_puts_back_what_it_asked_for(enforcing):
    follower = Follower(enforcing, "--reason", "session")
    until(lambda: told(enforcing) == WITH_SESSION, "session is not told")
    follower.end(signal.SIGKILL)
    until(lambda: told(enforcing) == DEFAULT, "session is still told")
    assert Follower(enforcing, "--seconds", "1").process.wait(WAIT_S) == 0


def test_without_an_agent_it_puts_back_itself(enforcing):
    enforcing.stop()
    follower = Follower(enforcing, "--reason", "session")
    until(lambda: told(enforcing) == WITH_SESSION, "session is not told")
    follower.end()
    assert told(enforcing) == DEFAULT


def test_backlog_is_what_nobody_took(enforcing):
    assert not tcp(enforcing.world.peer, US, 22)
    words = ("--json", "--seconds", "1", "--reason", "default_deny")
    assert Follower(enforcing, *words, "--backlog").process.communicate()[0]
    assert not tcp(enforcing.world.peer, US, 22)
    assert Follower(enforcing, *words).process.communicate()[0] == ""


def test_sums_and_metrics_say_what_was_not_sent(enforcing):
    enforcing.configure(mode="protect", events={"rate": 1, "burst": 10})
    os.kill(enforcing.daemon.pid, signal.SIGHUP)
    until(lambda: settings(enforcing)[Setting.EVENT_RATE] == 1, "the rate is not followed")
    call(enforcing.world.peer, US, [(PEER, 1000 + n, 2222) for n in range(500)])
    sums = enforcing.run("event", "sums")[1]
    [entry] = [entry for entry in sums["sums"] if entry["port"] == 2222]
    assert 400 < entry["packets"] < 500
    assert (entry["rule"], entry["source"]) == ("default/ingress", "p")
    assert (entry["verdict"], entry["protocol"], entry["direction"]) == ("deny", "tcp", "ingress")
    assert sums["summed"] == sum(e["packets"] for e in sums["sums"]) + sums["forgotten"]
    assert sums["sent"] > 0
    metrics = enforcing.metrics()
    for name in ("sent", "summed", "unsummed"):
        assert f"tc_micro_events_{name}_total {float(sums[name])}" in metrics
    assert enforcing.run("stats", "show")[1]["events"]["sent"] == sums["sent"]
    enforcing.stop()


class Log(threading.Thread):
    """What the agent writes, as it writes it."""

    def __init__(self, stream) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.lines: list[str] = []
        self.start()

    def run(self) -> None:
        for line in self._stream:
            self.lines.append(line.rstrip())


def test_a_flooded_listener_is_logged_once_and_measured(enforcing):
    enforcing.stop()
    enforcing.configure(mode="protect", syn_rate={"listener": {"on": 50, "off": 25}})
    enforcing.start()
    log = Log(enforcing.daemon.stderr)
    over = "WARNING TCMA0401 SYN flood: port 5432 is over its limit"
    below = "INFO TCMA0402 SYN flood: port 5432 is below its limit again"
    seen = threading.Event()

    def flood() -> None:
        for round_ in range(150):
            ports = range(2000 + 50 * round_, 2050 + 50 * round_)
            call(enforcing.world.peer, US, [(PEER, port, SERVICE) for port in ports])
            if seen.wait(0.1):
                return

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        until(lambda: over in log.lines, "the flood was not seen")
        metrics = enforcing.metrics()
        status = enforcing.status()["syn_flood"]
    finally:
        seen.set()
        thread.join()
    assert "tc_micro_syn_flood_listeners 1.0" in metrics
    assert 'tc_micro_syn_flood_listener{port="5432"} 1.0' in metrics
    assert (status["listeners"], status["listener"][0]["port"]) == (1, SERVICE)
    assert tcp(enforcing.world.peer, US, SERVICE)
    until(lambda: below in log.lines, "the end of the flood was not seen")
    assert (log.lines.count(over), log.lines.count(below)) == (1, 1)
    assert "tc_micro_syn_flood_listener{" not in enforcing.metrics()
    enforcing.daemon.send_signal(signal.SIGTERM)
    assert enforcing.daemon.wait(10) == 0
    log.join(10)

"""The command line against an agent that enforces: what it lists, watches, ends, packs and traces, as processes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tarfile
import termios
import time

import pytest
import yaml
from builders import bundle, rule
from left_out import AGENT
from test_agent import Host
from world import PEER, US, World, connection, talks, tcp, udp

from tcmicro_agent.policy.model import Action

pytestmark = AGENT

SERVICE, OTHER = 5432, 5433
WAIT_S = 20
OPEN = bundle(
    rule("p/db", f"tcp/{SERVICE}", (1,)),
    rule("p/dns", f"udp/{SERVICE}", (1,)),
    rule("p/never", "tcp/9", (1,)),
    endpoints={PEER: 1},
    egress=Action.ALLOW,
)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    world = World()
    world.serve(world.us, SERVICE)
    world.serve(world.peer, OTHER)
    bpffs = tmp_path_factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", bpffs], check=True)
    made = Host(world, tmp_path_factory.mktemp("root"), bpffs)
    made.configure(mode="protect")
    made.start()
    made.run("policy", "apply", made.write(OPEN))
    yield made
    made.stop()
    made.run("detach")
    subprocess.run(["umount", bpffs], check=True)
    world.close()


def text(host: Host, *words: str) -> str:
    done = subprocess.run([*host._argv, *words], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.stdout


def lines(host: Host, *words: str) -> list[dict]:
    return [json.loads(line) for line in text(host, *words).splitlines()]


def test_every_form_says_the_same(host):
    assert tcp(host.world.peer, US, SERVICE)
    whole = host.run("policy", "list")[1]
    assert yaml.safe_load(text(host, "policy", "list", "-o", "yaml")) == whole
    assert json.loads(text(host, "policy", "list", "-o", "json")) == whole
    assert lines(host, "policy", "list", "-o", "jsonl") == whole["rules"]
    assert text(host, "policy", "list", "-o", "table") == text(host, "policy", "list")


def test_rule_hits_are_sorted_and_name_those_that_never_decided(host):
    assert tcp(host.world.peer, US, SERVICE)
    found = host.run("rule", "hits")[1]
    hits = [row["hits"] for row in found["rules"]]
    assert hits == sorted(hits, reverse=True)
    assert hits[0] > 0
    unused = host.run("rule", "hits", "--unused")[1]
    assert [row["rule"] for row in unused["rules"] if row["rule"] == "p/never"] == ["p/never"]
    assert "p/db" not in {row["rule"] for row in unused["rules"]}
    assert all(not row["hits"] for row in unused["rules"])


def test_watching_says_what_grew(host):
    watching = subprocess.Popen(
        [*host._argv, "stats", "show", "--watch", "1", "-o", "jsonl"],
        stdout=subprocess.PIPE,
        text=True,
    )
    first = json.loads(watching.stdout.readline())
    for _ in range(20):
        assert tcp(host.world.peer, US, SERVICE)
    second = json.loads(watching.stdout.readline())
    while not any(row["packets_per_s"] > 0 for row in second["counters"]):
        second = json.loads(watching.stdout.readline())
    os.killpg(os.getpgid(watching.pid), 0)  # it goes on by itself
    watching.stdout.close()
    assert watching.wait(WAIT_S) == 0  # nobody reads any more
    assert not any("packets_per_s" in row for row in first["counters"])
    assert sum(row["packets"] for row in second["counters"]) > sum(
        row["packets"] for row in first["counters"]
    )


def test_interfaces_name_hook_programs_and_packets(host):
    code, found = host.run("interfaces")
    [guarded] = found["guarded"]
    assert (code, guarded["name"]) == (0, "eth0")
    assert guarded["hook"] in ("tcx", "clsact")
    assert guarded["ingress"]["present"]
    assert guarded["ingress"]["program"] != guarded["egress"]["program"]
    assert guarded["packets"]["received"] > 0


def test_an_interface_that_is_not_named_is_listed_with_the_reason(host):
    host.configure(mode="protect", interfaces=["eth0"])
    host.world.us.ip("link", "add", "side", "type", "veth", "peer", "aside")
    host.world.us.ip("link", "set", "side", "up")
    try:
        [other] = host.run("interfaces")[1]["unguarded"]
        assert (other["name"], other["reason"]) == ("side", "not in interfaces")
    finally:
        host.configure(mode="protect")
        host.world.us.ip("link", "del", "side")


def test_sessions_are_counted_by_what_they_share(host):
    host.run("session", "flush")
    with connection(host.world.peer, US, SERVICE), connection(host.world.peer, US, SERVICE):
        assert udp(host.world.peer, US, SERVICE)
        by = {
            kind: {
                row["name"]: row["sessions"]
                for row in host.run("session", "count", "--by", kind)[1]["groups"]
            }
            for kind in ("state", "protocol", "peer", "port")
        }
        filtered = host.run("session", "count", "--protocol", "udp")[1]
    assert by["protocol"] == {"tcp": 2, "udp": 1}
    assert by["peer"] == {PEER: 3}
    assert by["port"] == {f"tcp/{SERVICE}": 2, f"udp/{SERVICE}": 1}
    assert by["state"]["established"] >= 2
    assert (filtered["matching"], filtered["total"]) == (1, 3)


def test_kill_ends_the_connection_at_both_ends(host):
    with connection(host.world.peer, US, SERVICE) as client:
        assert talks(client)
        port = str(client.getsockname()[1])
        assert host.run("session", "kill", "--port", port, "--dry-run")[1]["sessions"] == 1
        assert talks(client)
        code, done = host.run("session", "kill", "--port", port)
        assert (code, done["sockets"], done["sessions"], done["without_socket"]) == (0, 1, 1, 0)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert host.run("session", "count", "--port", port)[1]["matching"] == 0
    assert tcp(host.world.peer, US, SERVICE)


def test_kill_ends_what_this_host_opened(host):
    with connection(host.world.us, PEER, OTHER) as client:
        assert talks(client)
        done = host.run("session", "kill", "--port", str(OTHER), "--protocol", "tcp")[1]
        assert done["sockets"] == 1
        with pytest.raises(ConnectionError):
            client.recv(1)


def test_kill_of_a_flow_without_socket_spares_the_listener(host):
    """The kernel finds the listener where there is no connection."""
    assert tcp(host.world.peer, US, SERVICE)  # ended, and tracked for a while
    done = host.run("session", "kill", "--peer", PEER, "--protocol", "tcp")[1]
    assert done["sessions"] > 0
    assert done["sockets"] == 0
    assert tcp(host.world.peer, US, SERVICE)


def test_kill_forgets_flows_of_other_protocols(host):
    assert udp(host.world.peer, US, SERVICE)
    done = host.run("session", "kill", "--protocol", "udp")[1]
    assert (done["sockets"], done["without_socket"] > 0) == (0, True)
    assert udp(host.world.peer, US, SERVICE)


def test_kill_of_everything_must_be_meant(host):
    code, error = host.run("session", "kill")
    assert code == 2
    assert error["error"]["hint"] == "for every flow: --all"


def test_doctor_finds_nothing_then_what_is_wrong(host):
    code, found = host.run("doctor")
    levels = {row["check"]: row["level"] for row in found["findings"]}
    assert levels["agent"] == levels["datapath"] == levels["policy"] == levels["drift"] == "ok"
    assert levels["failsafe"] == levels["signatures"] == "warn"
    host.stop(signal.SIGTERM)
    try:
        host.lose_hooks()
        code, found = host.run("doctor", "--faults")
        wrong = {row["check"]: row for row in found["findings"] if row["level"] == "fail"}
        assert (code, found["ok"]) == (3, False)
        assert "systemctl start tcmicro-agent" in wrong["agent"]["hint"]
        assert "eth0: no program of ours" in wrong["drift"]["found"]
        assert not [row for row in found["findings"] if row["level"] == "ok"]
        assert host.run("interfaces")[0] == 3
        (host.root / "etc/tcmicro/agent.json").write_text("{")
        code, found = host.run("doctor")
        assert code == 3
        assert (
            "agent.json"
            in next(r for r in found["findings"] if r["check"] == "configuration")["found"]
        )
    finally:
        host.configure(mode="protect")
        host.start()


def test_txn_confirms_and_reverts_as_policy_does(host):
    closed = bundle(egress=Action.ALLOW)
    ticket = host.run("policy", "apply", host.write(closed), "--confirm-within", "60")[1]
    assert host.run("txn", "revert")[1]["changed"]
    ticket = host.run("policy", "apply", host.write(closed), "--confirm-within", "60")[1]
    pending = ticket["transaction"]
    code, done = host.run("txn", "confirm", pending["id"], "--token", pending["token"])
    assert (code, done["changed"]) == (0, True)
    host.run("policy", "apply", host.write(OPEN))


def test_version_needs_no_agent(host):
    found = host.run("version")[1]
    assert found["kernel"] == os.uname().release
    assert found["abi"] == host.status()["abi"]


# --- top ---


def test_one_frame_names_rates_rules_and_refused_peers(host):
    frame = subprocess.Popen(
        [*host._argv, "top", "--once", "--interval", "3", "-o", "json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    follower = host.root / "run/tcmicro/follower.json"
    wait_for(follower.exists, "top does not follow")
    for _ in range(5):
        assert not tcp(host.world.peer, US, 22)
    found = json.loads(frame.communicate(timeout=WAIT_S)[0])
    denied = found["denied"]
    assert denied["follows"]
    assert [peer["peer"] for peer in denied["peers"]] == [PEER]
    assert denied["services"][0]["service"] == "ingress tcp/22 default_deny"
    packets = {(row["direction"], row["verdict"]): row for row in found["packets"]}
    assert packets["ingress", "deny"]["packets"] >= 5
    assert {row["rule"] for row in found["rules"]} >= {"p/db", "default/ingress"}
    assert {row["table"] for row in found["sessions"]} >= {"tcp4", "half6"}
    assert not follower.exists()


def test_top_without_events_says_so(host):
    following = subprocess.Popen([*host._argv, "event", "follow"], stdout=subprocess.DEVNULL)
    follower = host.root / "run/tcmicro/follower.json"
    wait_for(follower.exists, "nobody follows")
    try:
        assert "somebody else follows" in text(host, "top", "--once", "--interval", "1")
    finally:
        os.kill(json.loads(follower.read_text())["pid"], signal.SIGTERM)
        following.wait(WAIT_S)


def test_top_into_a_file_is_refused(host):
    done = subprocess.run([*host._argv, "top"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--once" in done.stderr


class Terminal:
    """`tc-micro top` on a pseudo terminal of a given size."""

    def __init__(self, host: Host, columns: int = 90, rows: int = 30) -> None:
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.said = ""
        self.process = subprocess.Popen(
            [*host._argv, "top", "--interval", "1"],
            stdin=slave,
            stdout=slave,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, wanted: str) -> str:
        """Reads on to a text, and to the end of that frame; what came."""
        deadline, start = time.monotonic() + WAIT_S, len(self.said)
        while not re.search(f"{wanted}.*\033\\[J", self.said[start:], re.DOTALL):
            assert time.monotonic() < deadline, self.said[start:]
            self._read()
        return self.said[start:]

    def end(self) -> int:
        """The rest, and the exit code."""
        while self.process.poll() is None:
            self._read()
        while self._read():
            pass
        self.process.stderr.close()
        return self.process.returncode

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 0.2)
        if ready:
            self.said += os.read(self._master, 65536).decode(errors="replace")
        return bool(ready)

    def is_restored(self) -> bool:
        after = termios.tcgetattr(self._slave)
        left = self.said.endswith("\033[0m\033[?25h\033[?1049l")
        return left and after == self.before

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminal(host):
    made = Terminal(host)
    yield made
    made.close()


def test_top_pauses_sorts_resizes_and_puts_the_terminal_back(terminal):
    frame = terminal.until("tc-micro top")
    assert "\033[?1049h" in frame
    assert "rules by rate" in frame
    terminal.write("s")
    assert "rules by hits" in terminal.until("rules by hits")
    terminal.write("p")
    terminal.until("PAUSED")
    terminal.resize(40, 12)
    os.killpg(terminal.process.pid, signal.SIGWINCH)
    frame = terminal.until("PAUSED|tc-micro top").rpartition("\033[H")[2]
    shown = [re.sub("\033\\[[0-9]*[A-Z]|\r", "", line) for line in frame.split("\n")]
    assert len(shown) <= 12
    assert max(map(len, shown)) <= 40
    terminal.write("q")
    assert terminal.end() == 0
    assert terminal.is_restored()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_any_end_of_top_puts_the_terminal_back(terminal, number, code):
    terminal.until("tc-micro top")
    os.killpg(terminal.process.pid, number)
    assert terminal.end() == code
    assert terminal.is_restored()


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


# --- sysdump ---

PLANTED = "S3cr3tPlantedValue0123456789"
KEY = f"-----BEGIN PRIVATE KEY-----\n{PLANTED}\n-----END PRIVATE KEY-----\n"


def test_sysdump_holds_what_is_needed_and_no_secret(host, tmp_path):
    pending = host.run(
        "policy", "apply", host.write(bundle(egress=Action.ALLOW)), "--confirm-within", "60"
    )[1]["transaction"]
    etc = host.root / "etc/tcmicro"
    (etc / "keys/policy").mkdir(parents=True, exist_ok=True)
    (etc / "keys/policy/private.pem").write_text(KEY)
    host.configure(mode="protect", metrics={"address": f"http://u:{PLANTED}@h"}, api_key=PLANTED)
    try:
        target = tmp_path / "dump.tar.gz"
        code, said = host.run("sysdump", "--out", str(target), "--max-mb", "2", "--bundles")
    finally:
        (etc / "keys/policy/private.pem").unlink()
        host.configure(mode="protect")
        host.run("txn", "revert")
    assert code == 0
    assert said["bytes"] == target.stat().st_size < 2 << 20
    assert target.stat().st_mode & 0o777 == 0o600
    held = unpacked(target)
    assert {"status.json", "config.json", "network.json", "programs.json", "kernel.json"} <= set(
        held
    )
    assert any(name.startswith("bundles/") for name in held)
    assert json.loads(held["config.json"])["api_key"] == "[redacted]"
    for name, content in held.items():
        assert PLANTED.encode() not in content, name
        assert pending["token"].encode() not in content, name
    contents = json.loads(held["contents.json"])
    assert contents["redactions"] >= 2
    assert {"private keys", "packets"} <= {row["what"] for row in contents["left_out"]}
    assert set(contents["files"]) == set(held) - {"contents.json"}
    [program] = [p for p in json.loads(held["programs.json"]) if p["name"] == "tcm_ingress"]
    assert program["id"] == host.run("interfaces")[1]["guarded"][0]["ingress"]["program"]
    assert program["translated_bytes"] > 1000
    links = json.loads(held["network.json"])["links"]
    assert "eth0" in {link["IFLA_IFNAME"] for link in links}


def unpacked(path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            member.name.partition("/")[2]: archive.extractfile(member).read() for member in archive
        }


def test_sysdump_overwrites_nothing(host, tmp_path):
    target = tmp_path / "dump.tar.gz"
    target.write_text("mine")
    assert host.run("sysdump", "--out", str(target))[0] == 3
    assert target.read_text() == "mine"


# --- trace ---


def test_latency_counts_the_runs_of_each_program(host, say):
    tracing = subprocess.Popen(
        [*host._argv, "trace", "latency", "--seconds", "4", "-o", "json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    while tracing.poll() is None:
        tcp(host.world.peer, US, SERVICE)
    found = json.loads(tracing.communicate()[0])
    programs = {row["program"]: row for row in found["programs"]}
    assert programs["tcm_ingress"]["runs"] > 10
    assert 0 < programs["tcm_ingress"]["mean_ns"] < 1_000_000
    if found["only_means_because"]:
        say(f"only means: {found['only_means_because'][:120]}")
        return
    for row in programs.values():
        assert row["runs"] == sum(bucket["runs"] for bucket in row["histogram"])

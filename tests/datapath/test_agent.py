"""The agent itself in a namespace of its own: the daemon, its metrics and its command line, as processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from builders import bundle, rule
from left_out import AGENT
from world import PEER, PEER6, US, World, connection, talks, tcp

from tcmicro_agent import abi
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.model import Action

ROOT = Path(__file__).parents[2]
SERVICE = 5432
OPEN = bundle(rule("p/db", f"tcp/{SERVICE}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
CLOSED = bundle()

# A mount namespace with the test's own bpf file system, and the agent from this checkout with files of its own.
INSIDE = """
set -e
mount -t sysfs sysfs /sys
mount --bind {bpffs} /sys/fs/bpf
exec {python} -c 'import sys
from functools import partial
from pathlib import Path
from tcmicro_agent import release
from tcmicro_agent.cli import main, verbs
release.ROOT = Path("{build}")
verbs.Store = partial(verbs.Store, Path("{root}"))
sys.exit(main())' "$@"
"""


class Host:
    """The agent in namespace `us`, with files below a temporary directory."""

    def __init__(self, world: World, root: Path, bpffs: Path) -> None:
        self.world = world
        self.root = root
        self.bpffs = bpffs
        self.pins = bpffs / "tcmicro" / str(abi.ABI)
        script = INSIDE.format(bpffs=bpffs, root=root, python=sys.executable, build=ROOT / "build")
        enter = ["nsenter", f"--net=/run/netns/{world.us.name}", "unshare", "-m"]
        self._argv = [*enter, "bash", "-c", script, "tc-micro"]
        self.daemon: subprocess.Popen[str] | None = None

    def run(self, *words: str) -> tuple[int, dict]:
        done = subprocess.run(
            [*self._argv, *words, "--json"], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def start(self) -> None:
        self.daemon = subprocess.Popen(
            [*self._argv, "run"], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60  # a busy machine takes its time to verify the programs
        while (
            not self.status().get("agent", {}).get("running")
        ):  # an error while maps are taken over
            assert self.daemon.poll() is None, self.daemon.communicate()
            if time.monotonic() > deadline:
                self.stop(signal.SIGKILL)  # it would be in the way of the next one
                pytest.fail("the agent did not start")
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.daemon is not None
        os.kill(self.daemon.pid, number)
        code = self.daemon.wait(10)
        self.daemon.stderr.close()
        return code

    def status(self) -> dict:
        return self.run("status")[1]

    def write(self, policy) -> str:
        path = self.root / "bundle.json"
        path.write_bytes(bundles.canonical(bundles.to_document(policy)))
        return str(path)

    def lose_hooks(self) -> None:
        """Somebody takes both away: the links of tcx, or the filters on clsact."""
        links = list((self.pins / "links").iterdir())
        assert len(links) in (0, 2)
        for link in links:
            link.unlink()
        for way in () if links else ("ingress", "egress"):
            self.world.us.run("tc", "filter", "del", "dev", "eth0", way)

    def configure(self, **content) -> None:
        """Takes unsigned policies, unless that is said otherwise."""
        path = self.root / "etc/tcmicro/agent.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"allow_unsigned": True, **content}))

    def metrics(self, path: str = "/metrics") -> str:
        return self.world.us.inside(_get, f"http://127.0.0.1:9931{path}")


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as exc:
        return f"{exc.code} {exc.read().decode()}"


@pytest.fixture(scope="module")
def world():
    made = World()
    made.serve(made.us, SERVICE)
    yield made
    made.close()


@pytest.fixture
def host(world, tmp_path_factory, tmp_path):
    bpffs = tmp_path_factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", bpffs], check=True)
    made = Host(world, tmp_path, bpffs)
    made.configure(mode="protect")
    made.start()
    yield made
    if made.daemon.poll() is None:
        made.stop()
    made.run("detach")
    assert not (bpffs / "tcmicro").exists()
    subprocess.run(["umount", bpffs], check=True)


@AGENT
def test_from_nothing_to_enforced_and_measured(host):
    status = host.status()
    assert status["datapath"]["interfaces"] == [{"name": "eth0", "ingress": True, "egress": True}]
    assert status["policy"]["state"] == "none"
    assert status["drift"] == []
    code, applied = host.run("policy", "apply", host.write(OPEN))
    assert (code, applied["changed"], applied["state"]) == (0, True, "committed")
    assert tcp(host.world.peer, US, SERVICE)
    assert not tcp(host.world.peer, US, 22)
    assert host.run("policy", "apply", host.write(OPEN))[1]["changed"] is False
    listed = host.run("policy", "list")[1]
    assert {r["rule"]: r["hits"] for r in listed["rules"]}["p/db"] == 1
    assert host.run("session", "list", "--peer", PEER, "--state", "closed")[1]["matching"] == 1
    listed = host.run("session", "list", "--port", "22")[1]
    assert (listed["matching"], listed["total"]) == (0, 1)
    assert 'tc_micro_sessions{table="tcp4"} 1.0' in host.metrics()
    assert host.run("session", "flush", "--protocol", "udp")[1]["sessions"] == 0
    assert host.run("session", "flush", "--peer", "10.9.0.0/30")[1]["sessions"] == 1
    assert host.run("session", "list")[1]["total"] == 0
    reasons = {c["reason"] for c in host.run("stats", "show")[1]["counters"]}
    assert {"session", "rule_allow", "default_deny"} <= reasons
    text = host.metrics()
    assert "tc_micro_enforcing 1.0" in text
    denied = 'tc_micro_packets_denied_total{bank="enforced",direction="ingress",reason='
    assert f'{denied}"default_deny"}}' in text
    assert host.metrics("/other") == "404 tcmicro agent: metrics are at /metrics\n"


@AGENT
def test_an_unsigned_policy_is_refused_and_what_rules_goes_on(host):
    host.run("policy", "apply", host.write(OPEN))
    host.configure(mode="protect", allow_unsigned=False)
    for words in (["apply"], ["apply", "--dry-run"], ["stage"]):
        code, error = host.run("policy", *words, host.write(CLOSED))
        assert code == 3
        assert "is unsigned: there is no " in error["error"]["message"]
    assert host.status()["policy"]["digest"] == bundles.digest(OPEN)
    assert tcp(host.world.peer, US, SERVICE)


@AGENT
@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_unconfirmed_policy_goes_away_with_or_without_the_agent(host, frozen):
    host.run("policy", "apply", host.write(OPEN))
    if frozen:
        os.kill(host.daemon.pid, signal.SIGSTOP)
    _, applied = host.run("policy", "apply", host.write(CLOSED), "--confirm-within", "13")
    assert not tcp(host.world.peer, US, SERVICE)
    deadline = time.monotonic() + 40
    while not tcp(host.world.peer, US, SERVICE):
        assert time.monotonic() < deadline, "the kernel did not take it back"
    ticket = applied["transaction"]
    code, refused = host.run("policy", "confirm", ticket["id"], "--token", ticket["token"])
    assert (code, refused["kind"]) == (8, "Error")
    assert host.status()["transaction"]["state"] == "reverted"
    if frozen:
        os.kill(host.daemon.pid, signal.SIGCONT)


@AGENT
def test_enforcement_outlives_the_agent_and_the_next_one_takes_over(host):
    host.run("policy", "apply", host.write(OPEN))
    before = host.status()
    for number in (signal.SIGTERM, signal.SIGKILL):
        host.stop(number)
        assert host.status()["agent"]["running"] is False
        assert tcp(host.world.peer, US, SERVICE)
        assert not tcp(host.world.peer, US, 22)
        host.start()
    after = host.status()
    assert after["policy"] == before["policy"]
    assert after["drift"] == []


@AGENT
def test_a_detached_hook_is_put_back(host):
    host.run("policy", "apply", host.write(OPEN))
    host.lose_hooks()
    deadline = time.monotonic() + 5
    while host.status()["drift"]:
        assert time.monotonic() < deadline, host.status()
    assert not tcp(host.world.peer, US, 22)


@AGENT
def test_detach_beside_a_running_agent_is_refused(host):
    code, said = host.run("detach")
    assert code == 3
    assert f"the agent runs, pid {host.daemon.pid}" in str(said)
    assert host.status()["drift"] == []


@AGENT
def test_the_hosts_ceiling_is_followed_on_reload(host):
    host.run("policy", "apply", host.write(OPEN))
    host.configure(mode="monitor")
    os.kill(host.daemon.pid, signal.SIGHUP)
    deadline = time.monotonic() + 5
    while host.status()["policy"]["mode"] != "monitor":
        assert time.monotonic() < deadline
    assert tcp(host.world.peer, US, SERVICE)


@AGENT
def test_expired_sessions_are_swept_away(host):
    host.configure(mode="protect", sessions={"sweep_s": 1})
    os.kill(host.daemon.pid, signal.SIGHUP)
    kernel = Kernel(host.pins)
    key = abi.SESSION4_KEY.pack(bytes(4), bytes(4), bytes(2), bytes(2), 6)
    kernel.map("tcm_tcp4").put(key, bytes(abi.SESSION.size))
    kernel.close()
    deadline = time.monotonic() + 10
    while 'tc_micro_sessions_expired_total{table="tcp4"} 1.0' not in host.metrics():
        assert time.monotonic() < deadline, host.metrics()
        time.sleep(0.2)
    assert host.run("session", "list")[1]["total"] == 0


@AGENT
def test_a_capacity_that_is_changed_holds_after_a_restart_and_no_flow_is_lost(host):
    host.run("policy", "apply", host.write(OPEN))
    before = host.status()["policy"]
    with connection(host.world.peer, US, SERVICE) as client:
        assert talks(client)
        host.configure(mode="protect", sessions={"capacity": 20_000})
        assert ", not 20000), tcm_tcp6" in host.status()["drift"][0]
        host.stop()
        host.start()
        assert talks(client)
        [session] = host.run("session", "list", "--state", "established")[1]["sessions"]
        assert session["flags"] == []
    after = host.status()
    assert (after["policy"], after["drift"]) == (before, [])
    kernel = Kernel(host.pins)
    assert kernel.sessions.capacities()[abi.SessionTable.TCP4] == 20_000
    kernel.close()


@AGENT
def test_a_take_over_that_was_cut_is_drift_and_no_time_for_a_policy(host):
    (host.pins.parent / "1").mkdir()
    assert host.status()["drift"] == [
        "the datapath of abi 1 is still there: restart the agent to take it over"
    ]
    code, error = host.run("policy", "apply", host.write(OPEN))
    assert code == 3
    assert "the agent has not taken it over" in error["error"]["message"]
    host.stop()
    host.start()
    assert host.status()["drift"] == []
    (host.pins.parent / "1").mkdir()  # that detach removes it too is looked at after every test


@AGENT
def test_a_bad_config_is_refused_and_changes_nothing(host):
    host.run("policy", "apply", host.write(OPEN))
    host.configure(mode="protekt")
    os.kill(host.daemon.pid, signal.SIGHUP)
    time.sleep(1.5)
    assert host.daemon.poll() is None
    assert tcp(host.world.peer, US, SERVICE)
    assert not tcp(host.world.peer, US, 22)
    code, status = host.run("status")
    problem = status["agent"]["config_problem"]
    assert code == 0
    assert 'mode: "protekt" is not one of monitor, protect' in problem
    assert status["drift"] == [f"configuration refused, the one before goes on: {problem}"]
    assert (status["datapath"]["mode"], status["policy"]["mode"]) == ("protect", "protect")
    host.configure(mode="protect")
    os.kill(host.daemon.pid, signal.SIGHUP)
    deadline = time.monotonic() + 10
    while host.status()["agent"]["config_problem"]:
        assert time.monotonic() < deadline


@AGENT
def test_a_bad_bundle_is_refused_with_every_fault(host):
    document = bundles.to_document(OPEN)
    document["mode"] = "x"
    document["rules"][0]["services"][0]["last"] = 70000
    path = host.root / "bad.json"
    path.write_text(json.dumps(document))
    code, error = host.run("policy", "apply", str(path))
    assert code == 6
    assert len(error["error"]["problems"]) >= 3
    assert host.status()["policy"]["state"] == "none"


@AGENT
def test_a_candidate_is_compared_tried_and_promoted(host):
    peer = host.world.peer
    host.run("policy", "apply", host.write(bundle(egress=Action.ALLOW)))
    candidate = host.write(OPEN)
    code, staged = host.run("policy", "stage", candidate)
    assert (code, staged["kind"], staged["changed"], staged["share"]) == (0, "PolicyStage", True, 0)
    assert not tcp(peer, US, SERVICE)
    found = host.run("policy", "differences")[1]
    [row] = found["differences"]
    assert (row["direction"], row["port"], row["peer"]) == ("ingress", SERVICE, "world")
    assert (row["live"]["rule"], row["staged"]["rule"]) == ("default/ingress", "p/db")
    assert row["staged"]["source"] == "test.yml:1"
    # a refused SYN is sent again, and counted again
    assert found["staged"]["comparisons"]["ingress"]["deny_to_allow"] == row["flows"] >= 1
    assert host.run("policy", "share", "100", "--for", "600")[1]["changed"] is True
    with connection(peer, US, SERVICE) as client:
        assert talks(client)
        host.stop(signal.SIGKILL)
        host.start()
        said = host.status()["policy"]["staged"]
        assert (said["generation"], said["share"]) == (staged["generation"], 100)
        assert said["share_left_s"] > 500
        text = host.metrics()
        assert "tc_micro_staged_share 1.0" in text
        assert f"tc_micro_staged_generation {staged['generation']}.0" in text
        counted = (
            'tc_micro_staged_comparisons_total{direction="ingress",live="deny",staged="allow"}'
        )
        assert f"{counted} {row['flows'] + 1}.0" in text
        code, promoted = host.run("policy", "promote", "--confirm-within", "60")
        assert (code, promoted["generation"]) == (0, staged["generation"])
        assert talks(client)
        ticket = promoted["transaction"]
        host.run("policy", "confirm", ticket["id"], "--token", ticket["token"])
        assert talks(client)
    after = host.status()["policy"]
    assert (after["generation"], after["state"]) == (staged["generation"], "committed")
    assert after["staged"] is None
    assert host.run("policy", "promote")[0] == 3
    assert host.run("policy", "unstage")[1]["changed"] is False


@AGENT
def test_a_flow_is_explained_by_the_kernel_and_by_the_bundle(host):
    code, found = host.run("explain", PEER, f"self:{SERVICE}/tcp")
    assert (code, found["reason"], found["agrees"]) == (0, "unenforced", True)
    host.run("policy", "apply", host.write(OPEN))
    before = host.run("session", "list")[1]["total"], host.run("stats", "show")[1]["counters"]
    code, found = host.run("explain", PEER, f"{US}:{SERVICE}/tcp")
    assert (code, found["verdict"], found["agrees"], found["passes"]) == (0, "allow", True, True)
    assert (found["rule"], found["source"], found["peer"]) == ("p/db", "test.yml:1", "id1")
    assert found["model"] == {k: found[k] for k in found["model"]}
    code, found = host.run("explain", PEER, "self:22/tcp")
    assert (code, found["verdict"], found["rule"]) == (3, "deny", "default/ingress")
    assert host.run("explain", "self", f"[{PEER6}]/icmp")[0] == 0
    assert host.run("explain", US, "self:22/tcp")[0] == 6
    assert host.run("explain", PEER, "10.1.2.3:22/tcp")[0] == 6
    after = host.run("session", "list")[1]["total"], host.run("stats", "show")[1]["counters"]
    assert [c for c in after[1] if c["reason"] == "rule_allow"] == []
    assert after[0] == before[0] == 0
    host.configure(mode="monitor")
    os.kill(host.daemon.pid, signal.SIGHUP)
    deadline = time.monotonic() + 10
    while host.run("explain", PEER, "self:22/tcp")[1]["mode"] != "monitor":
        assert time.monotonic() < deadline
    code, found = host.run("explain", PEER, "self:22/tcp")
    assert (code, found["verdict"], found["passes"]) == (3, "deny", True)


@AGENT
def test_a_policy_that_audits_beside_one_that_protects(host):
    new = replace(rule("new/db", f"tcp/{SERVICE}", action=Action.DENY), audits=True)
    mixed = bundle(new, *OPEN.rules, endpoints={PEER: 1})
    host.run("policy", "apply", host.write(mixed))
    status = host.status()["policy"]
    assert (status["mode"], status["monitoring"]) == ("protect", ["new"])
    code, found = host.run("explain", PEER, f"self:{SERVICE}/tcp")
    assert (code, found["verdict"], found["rule"], found["agrees"]) == (3, "deny", "new/db", True)
    assert (found["audited"], found["passes"], found["mode"]) == (True, True, "protect")
    assert tcp(host.world.peer, US, SERVICE)
    assert host.status()["counters"]["ingress"]["audited"] > 0
    assert not tcp(host.world.peer, US, 22)
    listed = {r["rule"]: (r["mode"], r["hits"]) for r in host.run("policy", "list")[1]["rules"]}
    assert listed["new/db"] == ("monitor", 1)


@AGENT
def test_a_kernel_that_does_not_hold_the_bundle_is_told_loudly(host):
    host.run("policy", "apply", host.write(OPEN))
    kernel = Kernel(host.pins)
    slot = kernel.control().word.active
    for key in [k for k in kernel.map("tcm_rules") if k[4] == slot]:
        kernel.map("tcm_rules").delete(key)
    kernel.close()
    code, found = host.run("explain", PEER, f"self:{SERVICE}/tcp")
    assert (code, found["agrees"]) == (1, False)
    assert (found["verdict"], found["model"]["verdict"]) == ("deny", "allow")
    (host.root / "var/lib/tcmicro/bundles" / f"{found['digest']}.json").unlink()
    code, found = host.run("explain", PEER, f"self:{SERVICE}/tcp")
    assert (code, found["agrees"], found["model"]) == (4, None, None)


LOCAL = ("--direction", "ingress", "--protocol", "tcp", "--dst-port", str(SERVICE))


@AGENT
def test_a_local_rule_rules_above_the_bundle_and_ends_by_itself(host):
    peer = host.world.peer
    assert host.run("policy", "add", *LOCAL, "--action", "deny", "--ttl", "9s")[0] == 3
    host.run("policy", "apply", host.write(OPEN))
    before = host.status()["policy"]
    deny = ("--action", "deny", "--src-ip", PEER, "--comment", "abuse")
    code, added = host.run("policy", "add", *LOCAL, *deny, "--ttl", "1h")
    assert (code, added["kind"], added["digest"]) == (0, "PolicyAdd", before["digest"])
    status = host.status()
    assert status["policy"]["digest"] == before["digest"]
    assert [rule["in_force"] for rule in status["local"]] == [True]
    assert status["drift"][0].startswith(f"local rule {added['id']} (deny ingress tcp/{SERVICE}")
    code, found = host.run("explain", PEER, f"self:{SERVICE}/tcp")
    assert (code, found["agrees"], found["rule"]) == (3, True, f"local/{added['id']}")
    assert found["source"] == "local rule: abuse"
    assert not tcp(peer, US, SERVICE)
    listed = host.run("policy", "list")[1]
    assert {rule["rule"] for rule in listed["rules"]} >= {"p/db", "default/ingress"}
    assert listed["local"][0]["hits"] > 0
    assert host.run("policy", "apply", host.write(OPEN))[1]["changed"] is False
    assert host.run("policy", "add", *LOCAL, *deny, "--ttl", "3s")[0] == 0
    assert host.run("policy", "delete", added["id"])[0] == 0
    deadline = time.monotonic() + 60
    while not tcp(peer, US, SERVICE):
        assert time.monotonic() < deadline, "the agent did not end it"
    assert (host.status()["local"], host.status()["drift"]) == ([], [])
    assert host.run("explain", PEER, f"self:{SERVICE}/tcp")[1]["rule"] == "p/db"


@AGENT
def test_local_rules_outlast_a_new_bundle_and_the_agent_and_are_deleted_by_id(host):
    peer = host.world.peer
    host.run("policy", "apply", host.write(OPEN))
    allow = ("--action", "allow", "--src-ip", f"{PEER}/32", "--ttl", "1h")
    _, added = host.run("policy", "add", *LOCAL, *allow)
    code, applied = host.run("policy", "apply", host.write(CLOSED), "--confirm-within", "60")
    assert (code, applied["state"]) == (0, "pending")
    assert tcp(peer, US, SERVICE)
    assert host.run("policy", "add", *LOCAL, *allow)[0] == 7
    ticket = applied["transaction"]
    host.run("policy", "confirm", ticket["id"], "--token", ticket["token"])
    host.stop(signal.SIGKILL)
    host.start()
    assert tcp(peer, US, SERVICE)
    assert host.run("policy", "stage", host.write(OPEN))[0] == 3
    assert host.run("policy", "delete", "nobody")[0] == 3
    code, deleted = host.run("policy", "delete", added["id"])
    assert (code, deleted["changed"], host.status()["local"]) == (0, True, [])
    assert not tcp(peer, US, SERVICE)
    assert host.run("policy", "add", *LOCAL, "--action", "deny", "--ttl", "25h")[0] == 6


@AGENT
def test_what_the_host_does_is_recorded_over_restarts_of_the_agent(host):
    host.run("policy", "apply", host.write(OPEN))
    assert tcp(host.world.peer, US, SERVICE)
    assert not tcp(host.world.peer, US, 22)
    taken = [recorded(host, least=1)]
    host.stop()
    host.start()
    taken.append(recorded(host, least=len(taken[0]["samples"]) + 1))
    first, last = (document["samples"][-1] for document in taken)
    assert first["boot_id"] == last["boot_id"] == taken[0]["boot_id"]
    assert first["start"] != last["start"]
    assert first["t"] < last["t"] <= taken[1]["now"]
    assert last["values"]["denied_ingress"] > 0
    assert last["values"]["new_ingress"] >= 1
    assert last["values"]["agent_rss_bytes"] > 10**6
    assert last["values"]["capacity_tcp4"] >= 1000
    assert f'tc_micro_sample{{value="packets"}} {last["values"]["packets"]:.1f}' in host.metrics()
    assert host.run("samples", "--since", "1")[1]["peers"] is None
    both = host.run("status", "--samples", "3600")[1]
    assert (both["kind"], both["samples"]["kind"]) == ("Status", "Samples")
    assert last in both["samples"]["samples"]


def test_peers_that_do_not_answer_are_told(host):
    host.run("policy", "apply", host.write(OPEN))
    host.world.us.run(
        *[
            "ip",
            "neigh",
            "replace",
            "10.9.0.77",
            "lladdr",
            "02:00:00:00:00:77",
            "dev",
            "eth0",
            "nud",
            "permanent",
        ]
    )
    host.world.us.inside(_ask, "10.9.0.77")
    peers = host.run("samples", "--peers")[1]["peers"]
    assert {"address": "10.9.0.77", "opened": 1, "unanswered": 1} in peers


def recorded(host, least: int) -> dict:
    """What `samples` says once there are so many."""
    deadline = time.monotonic() + 60
    while True:
        code, found = host.run("samples", "--since", "3600")
        assert code == 0
        if len(found["samples"]) >= least:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def _ask(address: str) -> None:
    """Until a second SYN was sent."""
    with socket.socket() as connection:
        connection.settimeout(1.5)
        with contextlib.suppress(OSError):
            connection.connect((address, 80))


def test_usage_and_root(host, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tcmicro_agent.cli.main",
            "policy",
            "apply",
            "x",
            "--confirm-within",
            "0",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "'0' is not a number of seconds from 5 to 86400" in done.stderr

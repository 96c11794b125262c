"""A running agent's metrics, and its configuration while it runs: read, refused, followed, each by real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.error
from collections.abc import Callable

import pytest
from builders import bundle, rule
from left_out import AGENT
from test_agent import Host, _get
from test_follow import Log, until
from world import PEER, STRANGER, US, World, tcp

from tcmicro_agent.metrics.catalogue import CATALOGUE
from tcmicro_agent.metrics.series import MOST
from tcmicro_agent.policy.model import Action
from tools.process import ToolError
from tools.promtool import promtool

pytestmark = AGENT

SERVICE = 5432
OPEN = bundle(rule("p/db", f"tcp/{SERVICE}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
RULES = 5000


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    world = World()
    world.serve(world.us, SERVICE)
    bpffs = tmp_path_factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", bpffs], check=True)
    made = Host(world, tmp_path_factory.mktemp("root"), bpffs)
    made.configure(mode="protect")
    made.start()
    made.log = Log(made.daemon.stderr)
    yield made
    if made.daemon.poll() is None:
        made.daemon.send_signal(signal.SIGTERM)
        made.daemon.wait(10)
    made.run("detach")
    subprocess.run(["umount", bpffs], check=True)
    world.close()


@pytest.fixture(autouse=True)
def _as_it_was(host):
    yield
    reload(host, mode="protect")
    until(lambda: value(host, "tc_micro_config_reload_failed") == 0, "it was not accepted")


def reload(host: Host, **content) -> None:
    host.configure(**content)
    os.kill(host.daemon.pid, signal.SIGHUP)


def read(host: Host) -> dict[str, float]:
    """Every series by its name and labels, as they stand there."""
    found = {}
    for line in host.metrics().splitlines():
        if not line.startswith("#"):
            name, _, number = line.rpartition(" ")
            found[name] = float(number)
    return found


def value(host: Host, series: str) -> float:
    return read(host)[series]


def total(found: dict[str, float], name: str) -> float:
    return sum(number for series, number in found.items() if series.startswith(f"{name}{{"))


def until_told(host: Host, text: str) -> None:
    until(lambda: any(text in line for line in host.log.lines), f"nothing is logged of {text!r}")


def test_every_metric_is_of_the_catalogue_and_promtool_takes_them(host):
    host.run("policy", "apply", host.write(OPEN))
    text = host.metrics()
    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    known = {metric.exposed for metric in CATALOGUE}
    assert known <= names
    assert all(name.startswith("process_") for name in names - known)
    try:
        checker = promtool()
    except ToolError as exc:
        pytest.skip(f"promtool cannot be fetched: {exc}")
    argv = [str(checker), "check", "metrics"]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_judged_is_allowed_or_denied(host):
    host.run("policy", "apply", host.write(OPEN))
    before = read(host)
    assert tcp(host.world.peer, US, SERVICE)
    assert not tcp(host.world.peer, US, SERVICE, source=STRANGER)
    found = read(host)
    for way in ("ingress", "egress"):
        parts = [
            number
            for series, number in found.items()
            if re.match(rf'tc_micro_packets_(allowed|denied)_total\{{.*direction="{way}"', series)
        ]
        assert sum(parts) == found[f'tc_micro_packets_total{{direction="{way}"}}']

    def grown(series: str) -> float:
        return found[series] - before[series]

    assert grown('tc_micro_connections_new_total{direction="ingress"}') == 1
    assert grown('tc_micro_policy_lookups_total{outcome="match"}') == 1
    assert grown('tc_micro_policy_lookups_total{outcome="default"}') >= 1
    assert found['tc_micro_map_entries{map="tcm_rules"}'] > 0
    assert found['tc_micro_map_memory_bytes{map="tcm_tcp4"}'] > 4096


def test_five_thousand_rules_are_within_the_bound_and_lose_no_count(host):
    many = [rule(f"p/r{n}", f"tcp/{10_000 + n}", (1,)) for n in range(RULES)]
    policy = bundle(*OPEN.rules, *many, endpoints={PEER: 1}, egress=Action.ALLOW)
    assert host.run("policy", "apply", host.write(policy))[0] == 0
    last = many[-1].services[0].first
    assert not tcp(host.world.peer, US, last)  # let in, and nobody answers
    found = read(host)
    ours = [series for series in found if series.startswith("tc_micro_")]
    others = [series for series in found if not series.startswith("tc_micro_")]
    assert len(ours) + len(others) == found["tc_micro_metrics_series"] == MOST
    kept = [series for series in found if series.startswith("tc_micro_rule_hits_total{")]
    assert found["tc_micro_metrics_series_folded"] == RULES + 3 - (len(kept) - 1)
    assert found['tc_micro_rule_hits_total{action="other",rule="other"}'] >= 1
    assert found['tc_micro_policy_rules{mode="protect"}'] == RULES + 1
    assert f'tc_micro_rule_hits_total{{action="allow",rule="{many[-1].uid}"}}' not in found
    listed = host.run("policy", "list")[1]["rules"]
    assert total(found, "tc_micro_rule_hits_total") == sum(row["hits"] for row in listed)
    host.run("policy", "apply", host.write(OPEN))
    assert value(host, "tc_micro_metrics_series_folded") == 0


def test_a_configuration_that_is_refused_leaves_all_as_it_is_and_says_so(host):
    host.run("policy", "apply", host.write(OPEN))
    reload(host, mode="protekt", metrics={"prot": 1}, hook="xdp")
    until(lambda: value(host, "tc_micro_config_reload_failed") == 1, "it was not refused")
    until_told(host, "TCMA0102")
    [line] = [line for line in host.log.lines if "TCMA0102" in line]
    assert line.startswith("ERROR TCMA0102 configuration refused, the one before goes on: ")
    for fault in (
        'mode: "protekt" is not one of monitor, protect',
        'hook: "xdp" is not one of auto, tcx, clsact',
        'metrics: unknown key "prot" (did you mean "port"?)',
    ):
        assert fault in line
        assert fault in host.status()["agent"]["config_problem"]
    found = read(host)
    assert found["tc_micro_enforcing"] == 1
    assert found['tc_micro_log_lines_total{code="TCMA0102"}'] == 1
    assert found['tc_micro_agent_failing{step="configuration"}'] == 1
    assert tcp(host.world.peer, US, SERVICE)
    assert not tcp(host.world.peer, US, 22)
    os.kill(host.daemon.pid, signal.SIGHUP)  # asked for again, and told again
    until(lambda: value(host, 'tc_micro_log_lines_total{code="TCMA0102"}') == 2, "it is told once")
    reload(host, mode="protect")
    until(lambda: value(host, "tc_micro_config_reload_failed") == 0, "it was not accepted")
    assert host.status()["agent"]["config_problem"] is None
    until_told(host, "TCMA0101 configuration reloaded")


def test_an_agent_that_starts_under_a_refused_file_takes_the_last_accepted(host):
    host.run("policy", "apply", host.write(OPEN))
    host.configure(mode="protekt")
    host.daemon.send_signal(signal.SIGTERM)
    assert host.daemon.wait(10) == 0
    host.start()
    host.log = Log(host.daemon.stderr)
    status = host.status()
    assert "protekt" in status["agent"]["config_problem"]
    assert (status["datapath"]["mode"], status["policy"]["state"]) == ("protect", "committed")
    found = read(host)
    assert (found["tc_micro_enforcing"], found["tc_micro_config_reload_failed"]) == (1, 1)
    assert not tcp(host.world.peer, US, 22)


def test_monitor_is_told_as_the_reason(host):
    host.run("policy", "apply", host.write(OPEN))
    assert value(host, 'tc_micro_enforcing_reason{reason="none"}') == 1
    reload(host, mode="monitor")
    until(lambda: value(host, "tc_micro_enforcing") == 0, "monitor enforces")
    found = read(host)
    assert found['tc_micro_enforcing_reason{reason="monitor"}'] == 1
    assert total(found, "tc_micro_enforcing_reason") == 1
    assert found['tc_micro_mode_info{mode="monitor"}'] == 1
    until_told(host, "WARNING TCMA0405 not enforcing: monitor: the live policy only counts")


def test_old_names_are_served_where_they_are_asked_for(host):
    assert not any(series.startswith("tc_micro_packets_denied{") for series in read(host))
    reload(host, mode="protect", metrics={"aliases": True})
    until(
        lambda: "# TYPE tc_micro_packets_denied untyped" in host.metrics(), "no old name is served"
    )
    found = read(host)
    denied = total(found, "tc_micro_packets_denied")
    assert denied == total(found, "tc_micro_packets_denied_total") > 0
    assert found["tc_micro_session_cache_hits"] == found["tc_micro_session_cache_hits_total"]


def scrape(host: Host, url: str, *, space: str = "us") -> Callable[[], bool]:
    """Whether it is answered there."""

    def answered() -> bool:
        try:
            return "tc_micro_enforcing" in getattr(host.world, space).inside(_get, url)
        except (urllib.error.URLError, OSError):
            return False

    return answered


def test_another_port_and_other_clients_are_followed_without_a_restart(host):
    pid, elsewhere = host.daemon.pid, f"http://{US}:9932/metrics"
    ports = [f"tcp/{port}" for port in (SERVICE, 9932)]
    policy = bundle(rule("p/db", " ".join(ports), (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
    host.run("policy", "apply", host.write(policy))
    reload(host, mode="protect", metrics={"address": US, "port": 9932})
    until(scrape(host, elsewhere), "the port is not followed")
    assert scrape(host, elsewhere, space="peer")()
    assert not scrape(host, "http://127.0.0.1:9931/metrics")()
    metrics = {"address": US, "port": 9932, "networks": [f"{US}/32"]}
    reload(host, mode="protect", metrics=metrics)
    until(lambda: not scrape(host, elsewhere, space="peer")(), "the peer is still served")
    assert scrape(host, elsewhere)()
    reload(host, mode="protect")
    until(scrape(host, "http://127.0.0.1:9931/metrics"), "the way back is not followed")
    assert host.daemon.pid == pid


def test_a_taken_port_refuses_the_whole_configuration(host):
    host.world.serve(host.world.us, 9999)
    reload(host, mode="monitor", metrics={"address": "::", "port": 9999})
    until(lambda: value(host, "tc_micro_config_reload_failed") == 1, "it was not refused")
    status = host.status()
    assert "cannot listen on :: port 9999" in status["agent"]["config_problem"]
    assert value(host, 'tc_micro_mode_info{mode="protect"}') == 1


def test_changes_of_policy_are_counted_by_their_end(host):
    host.run("policy", "apply", host.write(OPEN))
    time.sleep(2.0)  # rounds of the agent
    before = read(host)
    host.run("policy", "apply", host.write(bundle()), "--confirm-within", "60")
    waiting = read(host)
    assert waiting["tc_micro_policy_pending"] == 1
    assert 0 < waiting["tc_micro_policy_deadline_seconds"] <= 60
    assert host.run("policy", "revert")[0] == 0
    name = 'tc_micro_policy_changes_total{{outcome="{}"}}'
    reverted = name.format("reverted")
    until(lambda: value(host, reverted) == before[reverted] + 1, "it is not counted")
    after = read(host)
    assert after["tc_micro_policy_pending"] == after["tc_micro_policy_deadline_seconds"] == 0
    assert after[name.format("confirmed")] == before[name.format("confirmed")]
    assert after["tc_micro_policy_last_apply_timestamp_seconds"] > time.time() - 600


def test_what_fails_in_a_scrape_is_missing_alone_and_counted(host):
    path = host.root / "var/lib/tcmicro/release.json"
    path.write_text("{")
    found = read(host)
    assert found['tc_micro_scrape_failures_total{part="policy"}'] == 1
    assert "tc_micro_policy_generation" not in found
    assert "tc_micro_enforcing" in found
    path.unlink()
    assert "tc_micro_policy_generation" in read(host)
    until_told(host, "ERROR TCMA0004 metrics, policy: ")

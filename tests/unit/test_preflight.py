"""What the preflight makes of facts, and how it reads them from the text the kernel gives."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from tcmicro_agent import abi, preflight
from tcmicro_agent.datapath import predecessors
from tcmicro_agent.preflight import Facts, Needs, allowed, document, judge

GOOD = Facts(
    kernel="6.1.0-18-amd64",
    arch="x86_64",
    python=(3, 11, 2),
    root=True,
    btf=True,
    libbpf=(1, 1),
    jit=True,
    bpffs="mounted",
    systemd=252,
    systemd_running=True,
    memory_mb=4096,
    disk_mb=(("/opt", 900), ("/var", 900)),
    port_owner="",
    foreign=(),
)


def levels(facts):
    return {f.check: f.level for f in judge(facts, Needs()) if f.level != "ok"}


def test_good_host_has_only_ok_findings():
    findings = judge(GOOD, Needs())
    assert {finding.level for finding in findings} == {"ok"}
    assert not any(finding.hint for finding in findings)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"kernel": "4.19.0-26-amd64"}, {"kernel": "fail"}),
        ({"kernel": "5.9"}, {"kernel": "fail"}),
        ({"kernel": "5.10.0"}, {}),
        ({"kernel": "custom"}, {"kernel": "fail"}),
        ({"arch": "i686"}, {"arch": "fail"}),
        ({"arch": "aarch64"}, {}),
        ({"btf": False}, {"btf": "warn"}),
        ({"libbpf": None}, {"libbpf": "fail"}),
        ({"libbpf": (0, 5)}, {"libbpf": "fail"}),
        ({"libbpf": (0, 6)}, {}),
        ({"python": (3, 8, 10)}, {"python": "fail"}),
        ({"jit": False}, {"jit": "warn"}),
        ({"jit": None}, {}),
        ({"bpffs": "mountable"}, {}),
        ({"bpffs": "missing"}, {"bpffs": "fail"}),
        ({"systemd": 244}, {"systemd": "fail"}),
        ({"systemd": None}, {"systemd": "fail"}),
        ({"systemd_running": False}, {"systemd": "fail"}),
        ({"memory_mb": 512}, {"memory_headroom": "warn"}),
        ({"memory_mb": 128}, {"memory": "fail", "memory_headroom": "warn"}),
        ({"disk_mb": (("/opt", 10), ("/var", 900))}, {"disk /opt": "fail"}),
        ({"port_owner": "taken by nginx (pid 7)"}, {"metrics_port": "fail"}),
        ({"foreign": ("eth0 ingress: cil_from_netdev",)}, {"foreign_programs": "warn"}),
        ({"root": False}, {"root": "fail"}),
        ({"other_abis": (1,)}, {"datapath": "warn"}),
        ({"pending": "generation 7, 42 s left"}, {}),
        (
            {"other_abis": (1,), "pending": "generation 7, 42 s left"},
            {"datapath": "warn", "policy_change": "fail"},
        ),
    ],
    ids=str,
)
def test_each_fact_is_judged_by_itself(change, found):
    assert levels(replace(GOOD, **change)) == found


def test_all_faults_come_at_once_and_each_says_what_to_do():
    findings = judge(replace(GOOD, kernel="4.4", root=False, libbpf=None), Needs())
    failed = [finding for finding in findings if finding.level == "fail"]
    assert [finding.check for finding in failed] == ["kernel", "root", "libbpf"]
    assert all(finding.hint for finding in failed)
    assert not allowed(findings)


def test_warnings_do_not_refuse():
    assert allowed(judge(replace(GOOD, btf=False, jit=False, memory_mb=300), Needs()))


def test_needs_are_configurable():
    assert not allowed(judge(GOOD, Needs(disk_mb=1000)))


def test_document_is_the_contract():
    said = document(judge(GOOD, Needs()))
    assert (said["apiVersion"], said["kind"], said["ok"]) == ("tcmicro/v1", "Preflight", True)
    assert set(said["findings"][0]) == {"check", "level", "found", "needed", "hint"}


@pytest.mark.parametrize(
    ("mounts", "filesystems", "state"),
    [
        ("bpf /sys/fs/bpf bpf rw 0 0", "", "mounted"),
        ("tmpfs /sys/fs/bpf tmpfs rw 0 0", "nodev\tbpf", "mountable"),
        ("", "nodev\tproc\nnodev\tbpf", "mountable"),
        ("", "nodev\tproc", "missing"),
    ],
)
def test_bpffs_state(mounts, filesystems, state):
    assert preflight.bpffs_state(mounts, filesystems) == state


def test_available_memory_is_read_in_mb():
    assert preflight.available_mb("MemTotal: 9 kB\nMemAvailable:   2097152 kB\n") == 2048
    assert preflight.available_mb("") == 0


def test_listening_sockets_are_found_by_port():
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
    listen = (
        "   0: 0100007F:26CB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1"
    )
    client = (
        "   1: 0100007F:26CB 0100007F:9999 01 00000000:00000000 00:00000000 00000000 0 0 4712 1"
    )
    tables = "\n".join([head, listen, client])
    assert preflight.listening_inodes(tables, 0x26CB) == {"4711"}
    assert preflight.listening_inodes(tables, 22) == set()


def test_filters_of_others_are_named():
    listing = [{"kind": "bpf", "pref": 1}, {"kind": "bpf", "options": {"bpf_name": "cil_to"}}]
    assert preflight.clsact_programs(json.dumps(listing)) == ["cil_to"]
    assert preflight.clsact_programs("") == []


def test_numbers_are_those_of_the_release():
    assert preflight.ABI == abi.ABI
    assert tuple(predecessors.SESSION_MAPS) == preflight.READABLE


def test_datapaths_of_other_abis_are_named():
    found = {f.check: f.found for f in judge(replace(GOOD, other_abis=(1, 9)), Needs())}
    assert found["datapath"] == "abi 1, abi 9 loaded, with sessions that cannot be read"
    found = {f.check: f.found for f in judge(replace(GOOD, other_abis=(1,)), Needs())}
    assert found["datapath"] == "abi 1 loaded"


def test_loaded_datapaths_are_found_by_their_pins(tmp_path):
    assert list(preflight.loaded_abis(tmp_path / "none")) == []
    for name in ("1", "3-aside", "trace", "4x"):
        (tmp_path / name).mkdir()
    assert sorted(preflight.loaded_abis(tmp_path)) == [1, 3]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, "generation 7, 42 s left"),
        ({"state": "confirmed"}, ""),
        ({"boot_id": "before"}, ""),
        ({"deadline_ms": 57_000}, ""),
        ({"deadline_ms": "soon"}, ""),
    ],
)
def test_a_policy_change_that_waits_is_read_from_its_file(change, found):
    noted = {"state": "pending", "boot_id": "now", "deadline_ms": 100_000, "generation": 7}
    assert preflight.pending_change(json.dumps({**noted, **change}), "now", 58_000) == found
    assert preflight.pending_change("", "now", 58_000) == ""
    assert preflight.pending_change("{", "now", 58_000) == ""


def test_runs_as_a_script_without_the_package(root, tmp_path):
    script = tmp_path / "preflight.py"
    script.write_text((root / "tcmicro_agent/preflight.py").read_text())
    command = [sys.executable, "-I", str(script), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = json.loads(done.stdout)
    assert done.returncode == (0 if said["ok"] else 3)
    assert len(said["findings"]) >= 15


def test_source_is_readable_for_python_39(root):
    source = (root / "tcmicro_agent/preflight.py").read_text()
    ast.parse(source, feature_version=(3, 9))

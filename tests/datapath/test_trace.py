"""`tc-micro trace flows|drops` by bcc: what the kernel tells of real connections, and what is said where bcc lacks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from left_out import AGENT

from tcmicro_agent import tracing

pytestmark = AGENT

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"  # where the distribution's bcc is
CODE = """import sys
from pathlib import Path
from tcmicro_agent import release
from tcmicro_agent.cli import main
release.ROOT = Path("build")
sys.exit(main())"""
WAIT_S = 60


def trace(*words: str, python: str = SYSTEM_PYTHON) -> subprocess.Popen:
    return subprocess.Popen(
        [python, "-c", CODE, "trace", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def _able() -> None:
    """Skips, and says what is missing, where bcc cannot work; `make test-trace` has kernels where it must."""
    probe = "from tcmicro_agent import tracing as t; print(t.lacking(t.means()) or '')"
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", probe],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if lacks := done.stdout.strip():
        (pytest.fail if os.environ.get("TCM_HEADERS") else pytest.skip)(lacks)


def begun(tracing: subprocess.Popen) -> None:
    for line in tracing.stderr:  # bcc may warn before
        if line.startswith("tc-micro: tracing for"):
            return
    pytest.fail("it did not begin")


def test_what_lacks_is_named_for_this_kernel():
    """The developer's environment has no bcc, whatever the system has."""
    process = trace("flows", "--seconds", "1", "--json", python=sys.executable)
    out, _ = process.communicate(timeout=WAIT_S)
    error = json.loads(out)["error"]
    assert process.returncode == 3
    assert "bcc for Python" in error["message"]
    means = tracing.means()
    if not means.headers:
        assert means.release in error["message"]


@pytest.mark.usefixtures("_able")
def test_a_flow_is_told_at_both_ends_with_its_processes():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        process = trace("flows", "--seconds", "5", "-o", "jsonl")
        begun(process)
        with socket.create_connection(("127.0.0.1", port)) as client:
            source = client.getsockname()[1]
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    flows = [json.loads(line) for line in out.splitlines()]
    mine = {
        f["direction"]: f for f in flows if {f["local_port"], f["remote_port"]} == {port, source}
    }
    comm = Path("/proc/self/comm").read_text().strip()
    assert mine["egress"]["pid"] == os.getpid()
    assert (mine["egress"]["process"], mine["egress"]["user"]) == (comm, "root")
    assert (mine["egress"]["local"], mine["egress"]["remote_port"]) == ("127.0.0.1", port)
    assert mine["egress"]["outcome"] == "established"
    assert (mine["ingress"]["pid"], mine["ingress"]["process"]) == (None, comm)


@pytest.mark.usefixtures("_able")
def test_drops_are_counted_by_reason_and_place():
    process = trace("drops", "--seconds", "3", "-o", "json")
    begun(process)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(25):
            sender.sendto(b"?", ("127.0.0.1", 9))
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    drops = json.loads(out)["drops"]
    reasons = tracing.reasons(Path("/sys/kernel/tracing/events/skb/kfree_skb/format").read_text())
    found = [d for d in drops if d["reason"] == "no_socket" or not reasons]
    assert sum(drop["packets"] for drop in found) >= 25
    assert all(drop["place"] for drop in drops)

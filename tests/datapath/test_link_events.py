"""The running agent while links come and go, others remove its programs, and its configuration changes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from keeping import FALLBACKS, need_tcx
from left_out import AGENT
from test_agent import OPEN, SERVICE, Host
from world import US, World, connection, talks, tcp

SMALL = {"mode": "protect", "sessions": {"capacity": 4096}}


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
    made.links = made.pins / "links"
    made.configure(**SMALL)
    try:
        made.start()
        yield made
    finally:
        if made.daemon.poll() is None:
            made.stop()
        made.run("detach")
        subprocess.run(["umount", bpffs], check=True)


def until(true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def reload(host, **content) -> None:
    host.configure(**SMALL, **content)
    os.kill(host.daemon.pid, signal.SIGHUP)


def guarded(host) -> dict[str, bool]:
    found = host.status()["datapath"]["interfaces"]
    on = {one["name"]: one["ingress"] and one["egress"] for one in found}
    return {name: both for name, both in on.items() if name not in FALLBACKS}


def test_a_link_is_guarded_when_it_comes_and_forgotten_when_it_goes(host, world):
    assert guarded(host) == {"eth0": True}
    before = {pin.name for pin in host.links.iterdir()}
    world.us.ip("link", "add", "n0", "type", "veth", "peer", "n0", "netns", world.peer.name)
    until(lambda: guarded(host) == {"eth0": True, "n0": True})
    assert host.status()["drift"] == []
    world.us.ip("link", "del", "n0")
    until(lambda: guarded(host) == {"eth0": True})
    assert {pin.name for pin in host.links.iterdir()} == before
    assert "hook_repairs_total{" not in host.metrics()


@AGENT
def test_what_others_remove_comes_back_with_an_alarm(host):
    tcx = host.status()["datapath"]["hook"] == "tcx"
    for direction in ("ingress", "egress"):
        if tcx:
            (host.links / f"{host.world.interface.index}_{direction}").unlink()
        else:
            host.world.us.run("tc", "filter", "del", "dev", "eth0", direction)
        name = f'tc_micro_hook_repairs_total{{direction="{direction}",interface="eth0"}} 1.0'
        until(lambda name=name: name in host.metrics())
    assert host.status()["drift"] == []
    os.kill(host.daemon.pid, signal.SIGTERM)
    _, log = host.daemon.communicate(timeout=10)
    assert "eth0: our program was gone from egress, put back" in log


@AGENT
def test_another_kind_of_hook_by_reload_keeps_connections(host, world):
    need_tcx()
    host.run("policy", "apply", host.write(OPEN))
    with connection(world.peer, US, SERVICE) as client:
        for hook in ("clsact", "tcx", "clsact"):
            reload(host, hook=hook)
            until(lambda want=2 * (hook == "tcx"): len(list(host.links.iterdir())) == want)
            assert guarded(host) == {"eth0": True}
            assert host.status()["datapath"]["hook"] == hook
            assert talks(client)
    world.us.run("tc", "filter", "del", "dev", "eth0", "ingress")
    until(lambda: 'interface="eth0"} 1.0' in host.metrics())
    until(lambda: host.status()["drift"] == [])
    assert not tcp(world.peer, US, 22)


@AGENT
def test_names_that_fit_nothing_are_drift_and_let_nothing_go(host):
    reload(host, interfaces=["eth1"])
    wrong = "eth1: named in interfaces, not guarded: there is no such interface"
    until(lambda: host.status()["drift"] == [wrong])
    assert guarded(host) == {"eth0": True}
    assert "tc_micro_enforcing 0.0" in host.metrics()
    reload(host, interfaces=["lo"])
    until(lambda: '"lo" is never guarded' in (host.status()["agent"]["config_problem"] or ""))
    assert guarded(host) == {"eth0": True}
    reload(host, interfaces=["eth*"])
    until(lambda: host.status()["drift"] == [])


@AGENT
def test_who_is_not_guarded_is_named_with_the_reason(host, world):
    world.us.ip("link", "add", "i0", "up", "type", "ifb")
    [found] = host.status()["datapath"]["unguarded"]
    assert found == {
        "name": "i0",
        "reason": "it carries packets that other interfaces redirect to it",
    }
    world.us.ip("link", "del", "i0")


@AGENT
def test_detach_finds_every_hook_of_ours(host, world):
    """On tcx and on clsact, and where the present configuration would not look."""
    need_tcx()
    world.us.ip("link", "add", "b0", "type", "bridge")
    until(lambda: guarded(host) == {"eth0": True, "b0": True})
    reload(host, hook="clsact")
    until(lambda: not list(host.links.iterdir()))
    reload(host, hook="tcx", interfaces=["eth0"])
    until(lambda: len(list(host.links.iterdir())) == 2)
    host.stop(signal.SIGKILL)
    host.configure(**SMALL, interfaces=["b0"])
    _, detached = host.run("detach")
    assert "detached from eth0" in detached["done"]
    for name, way in (("eth0", "ingress"), ("b0", "egress")):
        assert "tcm_" not in world.us.run("tc", "filter", "show", "dev", name, way)
    world.us.ip("link", "del", "b0")

"""How long our programs run, counted run by run around them, or in the mean where the kernel forbids that."""

from __future__ import annotations

from conftest import OBJECT
from packets import tcp_packet

from tcmicro_agent import abi
from tcmicro_agent.datapath.latency import Latency
from tcmicro_agent.datapath.programs import PROGRAMS

RUNS = 50
AROUND = OBJECT.parent / "trace/latency.bpf.o"


def test_each_run_is_counted_and_nothing_stays(kernel, datapath, say):
    datapath.ingress(tcp_packet("10.0.0.2", 1000, "10.0.0.1", 22))  # not measured yet
    with Latency(kernel, AROUND) as latency:
        for _ in range(RUNS):
            datapath.ingress(tcp_packet("10.0.0.2", 1000, "10.0.0.1", 22))
        found = latency.read()
    ingress, egress = (found[PROGRAMS[way]] for way in abi.Direction)
    assert (ingress["runs"], egress["runs"]) == (RUNS, 0)
    assert ingress["mean_ns"] > 0
    assert egress["mean_ns"] is None
    if latency.refused:
        say(f"only means: {latency.refused[-160:]}")
        return
    assert sum(bucket["runs"] for bucket in ingress["histogram"]) == RUNS
    assert ingress["p50_ns"] <= ingress["p99_ns"]
    say(f"mean {ingress['mean_ns']} ns, half below {ingress['p50_ns']} ns")


def test_measuring_changes_no_verdict(kernel, datapath):
    packet = tcp_packet("10.0.0.2", 1000, "10.0.0.1", 22)
    before = datapath.ingress(packet)
    with Latency(kernel, AROUND):
        assert datapath.ingress(packet) == before
    assert datapath.ingress(packet) == before

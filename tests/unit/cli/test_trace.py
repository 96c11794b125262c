"""The pure parts of tracing: what lacks for which kernel, what an event and a histogram say."""

from __future__ import annotations

import pytest

from tcmicro_agent import histogram, tracing
from tcmicro_agent.histogram import BUCKETS, LATENCY, Histogram
from tcmicro_agent.tracing import FLOW, Means, flow, lacking, reasons, system

FORMAT = """name: kfree_skb
print fmt: "skbaddr=%p protocol=%u location=%pS reason: %s", REC->skbaddr, __print_symbolic(REC->reason, \
{ 2, "NOT_SPECIFIED" }, { 3, "NO_SOCKET" }, { 0x10, "IP_RPFILTER" })
"""


def means(**parts) -> Means:
    return Means(
        **{
            "release": "6.1.0-9",
            "system": "debian",
            "bcc": True,
            "headers": True,
            "tracefs": True,
            **parts,
        }
    )


def test_nothing_lacks_where_all_is_there():
    assert lacking(means()) is None


@pytest.mark.parametrize(
    ("parts", "message", "advice"),
    [
        ({"bcc": False}, "bcc for Python", "install python3-bpfcc"),
        ({"headers": False}, "the headers of kernel 6.1.0-9", "install linux-headers-6.1.0-9,"),
        ({"headers": False, "system": "fedora"}, "6.1.0-9", "install kernel-devel-6.1.0-9,"),
        ({"bcc": False, "system": ""}, "bcc for Python", "install bcc for Python 3"),
        ({"tracefs": False}, "tracing file system", "mount -t tracefs"),
    ],
)
def test_what_lacks_is_named_with_its_package(parts, message, advice):
    said, hint = lacking(means(**parts))
    assert message in said
    assert advice in hint


def test_all_that_lacks_is_named_at_once():
    said, hint = lacking(means(bcc=False, headers=False, tracefs=False))
    assert said.count(",") == 2
    assert hint.count(";") == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ID=debian\n", "debian"),
        ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "suse"),
        ("ID=nixos\n", ""),
        ("", ""),
    ],
)
def test_a_system_is_known_by_itself_or_by_what_it_is_like(text, wanted):
    assert system(text) == wanted


def test_reasons_are_read_from_the_format_of_the_tracepoint():
    assert reasons(FORMAT) == {2: "not_specified", 3: "no_socket", 16: "ip_rpfilter"}
    assert reasons("print fmt: protocol=%u location=%p") == {}


def test_a_flow_is_decoded_with_its_process_and_addresses():
    local, remote = b"\x0a\x00\x00\x01".ljust(16, b"\0"), b"\x0a\x00\x00\x02".ljust(16, b"\0")
    data = FLOW.pack(5, 42, 1000, b"curl", 40000, 443, 2, 0, 1, local, remote)
    found = flow(data)
    assert (found.pid, found.uid, found.comm, found.failed, found.called) == (
        42,
        1000,
        "curl",
        True,
        False,
    )
    assert (found.local, found.remote, found.remote_port) == ("10.0.0.1", "10.0.0.2", 443)


def test_an_ipv4_flow_of_an_ipv6_socket_shows_its_ipv4_addresses():
    mapped = bytes(10) + b"\xff\xff" + b"\x0a\x00\x00\x01"
    found = flow(FLOW.pack(0, 1, 0, b"x", 1, 2, 10, 1, 0, mapped, (1).to_bytes(16, "big")))
    assert (found.local, found.remote) == ("10.0.0.1", "::1")


def test_the_layout_of_a_flow_has_no_gaps():
    source = (tracing.Path(__file__).parents[3] / "bpf/trace/flows.c").read_text()
    assert "u64 boot_ns" in source
    assert FLOW.size == 8 + 24 + 2 * 3 + 2 + 32


def buckets(**runs: int) -> bytes:
    each = [0] * BUCKETS
    for name, count in runs.items():
        each[int(name[1:])] = count
    return LATENCY.pack(*each, 1000)


def test_a_histogram_is_the_sum_over_the_cpus():
    found = Histogram.decode([buckets(b3=1, b5=8), buckets(b5=1, b9=10)]).document()
    assert (found["runs"], found["mean_ns"]) == (20, 100)
    assert found["p50_ns"] == 63
    assert found["p99_ns"] == 1023
    assert [row["runs"] for row in found["histogram"]] == [1, 0, 9, 0, 0, 0, 10]
    assert found["histogram"][0] == {"from_ns": 8, "to_ns": 15, "runs": 1}


def test_bars_are_as_long_as_their_share():
    rows = Histogram.decode([buckets(b3=1, b5=40)]).document()["histogram"]
    shown = histogram.lines(rows)
    assert [line.count("#") for line in shown] == [1, 0, 40]
    assert histogram.lines([]) == []


def test_without_runs_there_is_nothing_to_say():
    assert Histogram.decode([bytes(LATENCY.size)]).document() == {
        "runs": 0,
        "mean_ns": None,
        "p50_ns": None,
        "p99_ns": None,
        "histogram": [],
    }

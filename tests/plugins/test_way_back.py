"""Who is taken back when, how many of a failure domain at once, and where it ends because it fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import way_back
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import Host
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.test_course import ROWS, record, row


def test_newest_wave_goes_back_first():
    assert way_back.order(record(), {}) == [["web1", "web2"], ["db1"]]


def test_failing_hosts_go_back_before_all_others():
    finding = {"host": "db1", "outcome": "fail", "text": "2 restarts"}
    judged = record(verdicts=({"wave": 2, "findings": [finding]},))
    assert way_back.order(judged, {}) == [["db1"], ["web1", "web2"]]
    lost = record(ROWS[0], ROWS[1], row("web2", 2, Host.LOST, "no contact"))
    assert way_back.order(lost, {}) == [["web2"], ["web1"], ["db1"]]


def test_hosts_that_were_not_touched_or_are_back_are_left_alone():
    left = record(row("db1", 1, Host.RESTORED), row("web1", 2), row("web2", 2, Host.PLANNED))
    assert way_back.order(left, {}) == [["web1"]]


@pytest.mark.parametrize(("stuck", "of", "halted"), [(1, 2, False), (2, 10, False), (3, 10, True)])
def test_taking_back_halts_above_a_fifth(stuck, of, halted):
    rows = [row(f"h{n}", 1, Host.STUCK if n < stuck else Host.RESTORED) for n in range(of)]
    assert way_back.halted(record(*rows)) is halted


# --- failure domains

RACKS = {f"h{n}": "ams/r1" if n < 12 else "ams/r2" for n in range(16)}


def rows_of(count, **more):
    return [row(f"h{n}", 1, **more) for n in range(count)]


def test_domain_is_site_and_rack_as_far_as_they_are_known():
    variables = {
        "a": {"tcmicro_site": "ams", "tcmicro_rack": 4},
        "b": {"tcmicro_site": "ams", "tcmicro_rack": None},
        "c": {},
    }
    assert way_back.domains(variables) == {"a": "ams/4", "b": "ams", "c": ""}


def test_no_more_than_a_quarter_of_a_domain_goes_back_at_once():
    batches = way_back.order(record(*rows_of(16)), RACKS)
    assert batches == [
        ["h0", "h1", "h2", "h12"],
        ["h3", "h4", "h5", "h13"],
        ["h6", "h7", "h8", "h14"],
        ["h9", "h10", "h11", "h15"],
    ]


def test_hosts_of_which_no_domain_is_known_wait_for_nobody():
    assert way_back.order(record(*rows_of(16)), {}) == [[f"h{n}" for n in range(16)]]


def test_policies_under_a_lease_all_go_back_at_once():
    leased = replace(record(*rows_of(8, back_by=9.0)), kind="policy")
    assert way_back.order(leased, RACKS) == [[f"h{n}" for n in range(8)]]
    tried = record(*rows_of(8, back_by=9.0))
    assert [len(batch) for batch in way_back.order(tried, RACKS)] == [2, 2, 2, 2]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.sampled_from([Host.KEPT, Host.APPLIED, Host.LOST, Host.RESTORED, Host.PLANNED]),
            st.sampled_from(["", "a/1", "a/2", "b"]),
        ),
        max_size=40,
    )
)
def test_everybody_touched_goes_back_once_and_domains_stay_within_their_quarter(hosts):
    rows = [row(f"h{n}", wave, state) for n, (wave, state, _) in enumerate(hosts)]
    domain_of = {f"h{n}": domain for n, (_, _, domain) in enumerate(hosts)}
    whole = replace(record(ROWS[0]), hosts={r.host: r for r in rows})
    batches = way_back.order(whole, domain_of)
    wanted = [r.host for r in rows if r.state not in (Host.PLANNED, Host.RESTORED)]
    assert sorted(host for batch in batches for host in batch) == sorted(wanted)
    sizes = Counter(domain_of.values())
    for batch in batches:
        for domain, count in Counter(domain_of[host] for host in batch).items():
            assert not domain or count <= max(1, sizes[domain] // 4)


def test_taking_back_ends_in_the_domain_in_which_it_fails():
    rows = [row(f"h{n}", 1, Host.STUCK if n < 3 else Host.KEPT) for n in range(16)]
    broken = record(*rows)
    assert way_back.halted_domains(broken, RACKS) == {"ams/r1"}
    assert not way_back.halted(broken)
    assert way_back.halted_domains(broken, {}) == set()

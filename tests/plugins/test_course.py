"""What is said of a rollout at its end, and who goes back in which order."""

from __future__ import annotations

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import course

from tests.plugins.looks import UNREACHABLE, look, upgraded

HOSTS = ["db1", "web1", "web2"]
GROUPS = {
    "tcmicro_ready": HOSTS,
    "tcmicro_wave_1": ["db1"],
    "tcmicro_wave_2": ["web1", "web2"],
    "tcmicro_touched": HOSTS,
    "tcmicro_passed": ["db1"],
}


def hostvars(**after):
    verdict = {"reasons": ["web1: 2 restarts in 10 s, allowed 0"]}
    return {
        host: {
            "tcmicro_gate_before": look(),
            "tcmicro_gate_verdict": {"reasons": []} if host == "db1" else verdict,
            "tcmicro_rollback_after": after.get(host, look()),
        }
        for host in HOSTS
    }


def said(groups=GROUPS, variables=None):
    return course.summary(course.course(groups, variables or hostvars(), "0.1.1"))


def test_waves_are_read_from_groups():
    assert course.sizes(GROUPS) == [1, 2]
    assert course.sizes({}) == [1]


def test_newest_wave_goes_back_first():
    assert course.sizes_back(GROUPS) == [2, 1]
    assert course.sizes_back({**GROUPS, "tcmicro_touched": ["db1"]}) == [1]


def test_complete_needs_every_host_to_have_passed():
    assert not course.complete(GROUPS)
    assert not course.complete({})
    assert course.complete({**GROUPS, "tcmicro_passed": HOSTS})


def test_summary_says_why_and_where_and_who():
    assert said() == (
        "canary of 0.1.1 stopped in wave 2 of 2 by the gate: web1: 2 restarts in 10 s, allowed 0; "
        "touched: db1, web1, web2; restored to 0.1.0: db1, web1, web2; untouched: 0 hosts"
    )


def test_summary_counts_who_was_left_alone():
    groups = {**GROUPS, "tcmicro_touched": ["db1"], "tcmicro_passed": []}
    assert "wave 1 of 2" in said(groups)
    assert said(groups).endswith("untouched: 2 hosts")


def test_summary_never_assumes_that_a_host_is_restored():
    text = said(variables=hostvars(web1=UNREACHABLE, web2=upgraded()))
    assert "restored to 0.1.0: db1;" in text
    assert "NOT restored: web1 (no contact" in text
    assert "web2 (it runs release 0.1.1, wanted 0.1.0)" in text


def test_summary_without_a_verdict_does_not_invent_one():
    variables = hostvars()
    for host in HOSTS:
        del variables[host]["tcmicro_gate_verdict"]
    assert "did not come to a verdict" in said(variables=variables)


def test_summary_of_success():
    assert said({**GROUPS, "tcmicro_passed": HOSTS}).startswith("rollout of 0.1.1 done: 3 hosts")

"""Policies go the same way as releases: in waves, compared with what rules before they are made live, and back."""

from __future__ import annotations

import pytest

from tests.rollout.fleet import Fleet

WORDS = ("-e", "policy=true", "-e", "bake=0", "-e", "stage=0", "-e", "waves=[50,100]")
SHARES = ("-e", "share=[5,25,50]", "-e", "share_for=1")
OLD = "ab12"


def good(fleet):
    fleet.policies(80)
    return fleet.run("canary", *WORDS)


def bad(fleet):
    fleet.policies(80)
    fleet.script("h1", policy="breaks")
    return fleet.run("canary", *WORDS)


def not_staged(fleet):
    fleet.policies(80)
    fleet.script("h1", stage="fail")
    return fleet.run("canary", *WORDS)


def cut(step, meanwhile=lambda fleet: None):
    """Killed when the first wave was changed, or before anybody wrote that down."""

    def scenario(fleet):
        fleet.policies(80)
        killed = fleet.run("canary", *WORDS, FAKE_CUT=step)
        at = {host: fleet.state(host) for host in fleet.hosts}
        meanwhile(fleet)
        return killed, at, fleet.run("canary", *WORDS[2:], "-e", f"rollout={fleet.rollout()}")

    return scenario


def overtaken(fleet):
    """Another controller was at a host of the second wave since this one began."""
    fleet.policies(80)
    fleet.change("h3", epoch=2**40)
    return fleet.run("canary", *WORDS)


def shared(fleet):
    fleet.policies(80)
    return fleet.run("canary", *WORDS, *SHARES)


def refuses(fleet):
    """The staged policy of one host refuses every second flow that it judges."""
    fleet.policies(80)
    fleet.script("h1", share="refuses")
    return fleet.run("canary", *WORDS, *SHARES)


def lost_while_shared(fleet):
    """Killed when the first share has been judged; nobody comes before the kernel has ended it."""
    fleet.policies(80)
    killed = fleet.run("canary", *WORDS, *SHARES, FAKE_CUT="after 6")
    at = {host: fleet.state(host) for host in fleet.hosts}
    fleet.end_shares()
    ended = {host: fleet.expired(host) for host in fleet.hosts}
    return killed, at, ended, fleet.run("canary", "-e", f"rollout={fleet.rollout()}")


def impossible(fleet):
    fleet.policies(80)
    words = ("-e", "share=[50,5]", "-e", "share_for=0", "-e", "expected_diffs=@diffs.yml")
    return fleet.run("canary", *WORDS, *words)


def first_policy(fleet):
    """Hosts on which no policy rules yet."""
    fleet.policies(80)
    for host in fleet.hosts:
        fleet.change(host, digest="")
    return fleet.run("canary", *WORDS, *SHARES)


SCENARIOS = {
    "good": good,
    "bad": bad,
    "not staged": not_staged,
    "cut": cut("after 6"),
    "cut before it is known": cut("before 6"),
    "lost for long": cut("after 6", Fleet.forget_trials),
    "overtaken": overtaken,
    "shared": shared,
    "refuses": refuses,
    "lost while shared": lost_while_shared,
    "impossible": impossible,
    "first policy": first_policy,
}


def digests(fleet):
    return {host: fleet.state(host)["digest"] for host in fleet.hosts}


def test_policies_reach_everybody_and_were_compared_first(after):
    fleet, outcome = after("good")
    assert outcome.code == 0, outcome.output
    assert OLD not in digests(fleet).values()
    for host in fleet.hosts:
        change = fleet.state(host)["policy_change"]
        assert (change["state"], change["deadline"]) == ("confirmed", None)
        assert change["staged"] == change["digest"]
        steps = [call["action"] for call in fleet.calls(host) if "policy" in call["action"]]
        assert steps == ["apply policy", "confirm policy", "commit policy"]


def test_policy_under_which_a_host_is_not_well_is_taken_back_before_its_lease_ends(after):
    fleet, outcome = after("bad")
    assert outcome.code == 2
    assert outcome.says("canary of policies")
    assert fleet.touched() == ["h1", "h2"]
    assert digests(fleet) == dict.fromkeys(fleet.hosts, OLD)
    assert len(fleet.calls("h1", "revert policy")) == len(fleet.calls("h2", "revert policy")) == 1
    wanted = fleet.journal("SELECT wanted FROM hosts WHERE host = 'h1'")
    assert fleet.journal("SELECT digest FROM denied") == wanted


def test_what_was_kept_goes_back_by_its_bundle_before(after):
    fleet, outcome = after("overtaken")
    assert outcome.code == 2
    assert outcome.says("is over")
    assert digests(fleet) == dict.fromkeys(fleet.hosts, OLD)
    assert [len(fleet.calls(host, "commit policy")) for host in fleet.hosts] == [1, 1, 0, 0]
    assert fleet.state("h1")["policies"][-1] == OLD
    assert not fleet.calls("h3", "apply policy")


def test_policy_that_cannot_be_compared_is_made_live_nowhere(after):
    fleet, outcome = after("not staged")
    assert outcome.code == 2
    assert outcome.says("h1: not staged: stage fails here")
    assert not any(fleet.calls(host, "apply policy") for host in fleet.hosts)
    assert {fleet.state(host)["staged"] for host in fleet.hosts} == {""}


def test_cut_rollout_of_policies_applies_none_twice(after):
    fleet, (killed, _, resumed) = after("cut")
    assert killed.code == -9
    assert resumed.code == 0, resumed.output
    assert applied(fleet) == dict.fromkeys(fleet.hosts, 1)


def test_lost_controller_leaves_nobody_on_the_policy_for_good(after):
    fleet, (_, at, resumed) = after("lost for long")
    assert [at[host]["policy_change"]["state"] for host in ("h1", "h2")] == ["leased"] * 2
    assert resumed.code == 0, resumed.output
    assert applied(fleet) == {"h1": 2, "h2": 2, "h3": 1, "h4": 1}
    assert fleet.journal("SELECT digest FROM denied") == []


def test_policy_that_nobody_can_keep_for_want_of_its_token_is_begun_anew(after):
    fleet, (_, _, resumed) = after("cut before it is known")
    assert resumed.code == 0, resumed.output
    assert len(fleet.calls("h1", "revert policy")) == 1
    assert applied(fleet) == {"h1": 2, "h2": 2, "h3": 1, "h4": 1}


@pytest.mark.parametrize("name", ["cut", "lost for long"])
def test_controllers_that_follow_have_higher_numbers(after, name):
    fleet, (_, at, _) = after(name)
    assert 1_600_000_000 < at["h1"]["epoch"] < fleet.state("h1")["epoch"]


def applied(fleet):
    return {host: len(fleet.calls(host, "apply policy")) for host in fleet.hosts}


# --- shares of the new flows


def policy_steps(fleet, host):
    """What was done to the policy of a host, in order."""
    return [c["action"] for c in fleet.calls(host) if c["action"] not in ("look", "unstage")]


def test_staged_policies_judge_a_growing_share_before_they_are_made_live(after):
    fleet, outcome = after("shared")
    assert outcome.code == 0, outcome.output
    steps = ["stage", "share 5", "share 25", "share 50"]
    steps += ["apply policy", "confirm policy", "commit policy"]
    assert [policy_steps(fleet, host) for host in fleet.hosts] == [steps] * 4
    assert {fleet.state(host)["share"] for host in fleet.hosts} == {None}


def test_share_is_written_down_before_it_is_given(after):
    fleet, _ = after("shared")
    events = fleet.journal("SELECT text FROM events WHERE kind = 'share in wave 1' ORDER BY seq")
    assert events == [(f"{n} % of the new flows, for 61 s at most",) for n in (5, 25, 50)]


def test_report_tells_of_every_share(after):
    fleet, _ = after("shared")
    lines = (fleet.rollouts / fleet.rollout() / "report.md").read_text().splitlines()
    head = next(line for line in lines if "denied" in line and "errors" in line)
    rows = lines[lines.index(head) + 2 :][:4]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[1:3] for row in cells] == [
        ["compared", "0 %"],
        ["shared", "5 %"],
        ["shared", "25 %"],
        ["shared", "50 %"],
    ]
    assert cells[3][3:] == ["1 s", "1,000", "10", "0", "pass"]


def test_share_that_is_refused_more_than_the_rest_stops_before_anything_is_live(after):
    fleet, outcome = after("refuses")
    assert outcome.code == 2
    assert outcome.says("h1: refused of the share: it refused 25 of 50 flows that it judged")
    assert fleet.touched() == ["h1", "h2"]
    assert not any(fleet.calls(host, "apply policy") for host in fleet.hosts)
    assert {(fleet.state(h)["staged"], fleet.state(h)["share"]) for h in fleet.hosts} == {
        ("", None)
    }
    wanted = fleet.journal("SELECT wanted FROM hosts WHERE host = 'h1'")
    assert fleet.journal("SELECT digest FROM denied") == wanted


def test_share_of_a_lost_controller_ends_and_is_begun_anew(after):
    fleet, (killed, at, ended, resumed) = after("lost while shared")
    assert killed.code == -9
    assert [at[host]["share"]["percent"] for host in ("h1", "h2")] == [5, 5]
    assert {ended[host]["share"] for host in fleet.hosts} == {None}
    assert digests_of(ended) == dict.fromkeys(fleet.hosts, OLD)
    assert resumed.code == 0, resumed.output
    shares = ["stage", "share 5", "share 25", "share 50"]
    assert policy_steps(fleet, "h1")[:6] == [*shares[:2], *shares]
    assert applied(fleet) == dict.fromkeys(fleet.hosts, 1)


def test_all_that_is_wrong_with_a_request_is_said_at_once(after):
    fleet, outcome = after("impossible")
    assert outcome.code == 2
    assert outcome.says("share: '[50,5]' is not allowed")
    assert outcome.says("share_for: '0' is not allowed")
    assert outcome.says("expected_diffs: '@diffs.yml' is not a list")
    assert fleet.touched() == []


def test_first_policy_of_a_fleet_has_nothing_to_be_compared_with(after):
    fleet, outcome = after("first policy")
    assert outcome.code == 0, outcome.output
    steps = ["apply policy", "confirm policy", "commit policy"]
    assert [policy_steps(fleet, host) for host in fleet.hosts] == [steps] * 4


def digests_of(states):
    return {host: state["digest"] for host, state in states.items()}

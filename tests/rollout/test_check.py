"""What a rollout and the way back foresee with --check is what they then do, on every host."""

from __future__ import annotations

import re

import pytest

from tests.rollout.fleet import CANARY, NEW
from tests.rollout.test_policies import WORDS

RECAP = re.compile(r"^(h\d) +: .* changed=(\d+) ", re.MULTILINE)


def both(playbook, words, before=lambda fleet: None):
    """First with --check, then without; what hosts were like between the two."""

    def scenario(fleet):
        fleet.policies(80)
        before(fleet)
        asked = [*words, *(["-e", f"rollout={fleet.rollout()}"] if before in BEGUN else [])]
        states = {host: fleet.state(host) for host in fleet.hosts}
        foreseen = fleet.run(playbook, *asked, "--check")
        untouched = {host: fleet.state(host) for host in fleet.hosts} == states
        return foreseen, untouched, fleet.run(playbook, *asked)

    return scenario


def released(fleet):
    assert fleet.run("canary", *CANARY).code == 0


def enforced(fleet):
    assert fleet.run("canary", *WORDS).code == 0


def lost(fleet):
    """The controller died when the first wave tried its policies."""
    fleet.run("canary", *WORDS, FAKE_CUT="after 6")


BEGUN = (released, enforced, lost)
SCENARIOS = {
    "release": both("canary", CANARY),
    "policies": both("canary", WORDS),
    "back to a release": both("rollback", (), released),
    "back to policies": both("rollback", (), enforced),
    "back from a lease": both("rollback", (), lost),
}


def changed(outcome):
    found = {host: int(count) for host, count in RECAP.findall(outcome.output)}
    assert len(found) == 4, outcome.output
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_check_foresees_what_is_done(after, name):
    _, (foreseen, untouched, done) = after(name)
    assert (foreseen.code, done.code) == (0, 0), foreseen.output + done.output
    assert untouched
    assert changed(foreseen) == changed(done)
    assert any(changed(done).values())


def test_release_is_where_it_should_be_after_that(after):
    fleet, _ = after("release")
    assert fleet.releases() == dict.fromkeys(fleet.hosts, NEW)

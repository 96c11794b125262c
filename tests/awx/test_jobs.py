"""The declared templates, launched as AWX launches them, over fake hosts; cancelled in the middle, they leave no host
behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.awx.jobs import OWN, Jobs
from tests.rollout.fleet import NEW, OLD

HOSTS = ["h1", "h2", "h3", "h4"]
QUICK = {"release": NEW, "bake": 0, "waves": "50, 100"}


def rollout(fleet):
    """The nodes of the workflow in the order of a rollout that is approved."""
    jobs = [fleet.launch("tcmicro-preflight")]
    jobs.append(fleet.launch("tcmicro-rollout-waves", **QUICK, stop_after=1))
    between = fleet.releases()
    jobs.append(fleet.launch("tcmicro-rollout-waves", **QUICK))
    return jobs, between


def bad_canary(fleet):
    fleet.script("h1", restarts=3)
    canary = fleet.launch("tcmicro-rollout-waves", **QUICK, stop_after=1)
    return canary, fleet.launch("tcmicro-rollout-back"), fleet.launch("tcmicro-rollout-failed")


def denied(fleet):
    """The first wave is well, and nobody approves the rest."""
    fleet.launch("tcmicro-rollout-waves", **QUICK, stop_after=1)
    return fleet.launch("tcmicro-rollout-back")


def cancelled(fleet):
    """While the first wave bakes; AWX kills the job."""
    slow = {**QUICK, "bake": 600}
    return fleet.launch(
        "tcmicro-rollout-waves", **slow, cancel=lambda: fleet.applied() == HOSTS[:2]
    )


def cancelled_and_taken_back(fleet):
    job = cancelled(fleet)
    waiting = fleet.waiting()
    return job, waiting, fleet.launch("tcmicro-rollout-back")


def cancelled_and_left(fleet):
    job = cancelled(fleet)
    fleet.forget_trials()
    return job, {host: fleet.expired(host)["release"] for host in HOSTS}


def cancelled_and_gone_on_with(fleet):
    """With the bake that the rollout was begun with."""
    slow = {**QUICK, "bake": 15}
    job = fleet.launch("tcmicro-rollout-waves", **slow, cancel=lambda: fleet.applied() == HOSTS[:2])
    resumed = fleet.launch("tcmicro-canary", rollout=OWN)
    return job, resumed, fleet.releases(), fleet.launch("tcmicro-rollback", rollout=OWN)


def cancelled_early(fleet):
    """Before it has begun a rollout."""
    job = fleet.launch("tcmicro-rollout-waves", **QUICK, cancel=lambda: True)
    return job, fleet.launch("tcmicro-rollout-back")


def policies(fleet):
    """Which are others in git by the time that somebody approves."""
    answers = {"policy": "true", "bake": 0, "stage": 0, "waves": "50, 100"}
    fleet.policies(80)
    jobs = [fleet.launch("tcmicro-rollout-waves", **answers, stop_after=1)]
    fleet.policies(81)
    return [*jobs, fleet.launch("tcmicro-rollout-waves", **answers)]


def not_ready(fleet):
    fleet.script("h2", lacks="4.19.0")
    fleet.down("h3")
    return fleet.launch("tcmicro-preflight")


SCENARIOS = {
    function.__name__: function
    for function in (
        rollout,
        bad_canary,
        denied,
        cancelled_and_taken_back,
        cancelled_and_left,
        cancelled_and_gone_on_with,
        cancelled_early,
        policies,
        not_ready,
    )
}


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """The fleet and what came out of a scenario; two are played at a time."""
    folders = {name: tmp_path_factory.mktemp("jobs") for name in SCENARIOS}

    def play(name):
        fleet = Jobs(folders[name], HOSTS)
        return fleet, SCENARIOS[name](fleet)

    pool = ThreadPoolExecutor(2)
    runs = {name: pool.submit(play, name) for name in SCENARIOS}
    yield lambda name: runs[name].result()
    pool.shutdown(cancel_futures=True)


def test_rollout_that_is_approved_reaches_everybody(after):
    fleet, (jobs, between) = after("rollout")
    assert [job.status for job in jobs] == ["successful"] * 3, jobs
    assert between == {"h1": NEW, "h2": NEW, "h3": OLD, "h4": OLD}
    assert fleet.releases() == dict.fromkeys(HOSTS, NEW)
    assert fleet.applies() == dict.fromkeys(HOSTS, 1)
    assert fleet.journal("SELECT id, state FROM rollouts") == [(OWN, "done")]


def test_artifacts_and_events_can_be_read_back(after):
    _, (jobs, _) = after("rollout")
    for job in jobs:
        assert (job.folder / "rc").read_text() == "0"
        assert (job.folder / "status").read_text() == "successful"
        assert {"playbook_on_start", "runner_on_ok", "playbook_on_stats"} <= job.kinds()
    assert jobs[1].says(f"passed wave 1 of 2, 2 hosts have it; go on with -e rollout={OWN}")
    assert jobs[2].says("done: 4 hosts in 2 waves passed the gate")


def test_canary_that_fails_is_taken_back_and_the_workflow_fails(after):
    fleet, (canary, back, failed) = after("bad_canary")
    assert (canary.status, back.status, failed.status) == ("failed", "successful", "failed")
    assert failed.says(f"The rollout {OWN} did not succeed")
    assert fleet.releases() == dict.fromkeys(HOSTS, OLD)
    assert sum(call["changed"] for call in fleet.calls("h1", "back")) == 1


def test_denied_approval_takes_the_canary_back(after):
    fleet, back = after("denied")
    assert back.status == "successful", back.failures()
    assert fleet.releases() == dict.fromkeys(HOSTS, OLD)
    assert fleet.touched() == ["h1", "h2"]


def test_job_that_is_cancelled_is_taken_back_by_the_next_node(after):
    fleet, (job, waiting, back) = after("cancelled_and_taken_back")
    assert job.status == "canceled"
    assert "playbook_on_stats" not in job.kinds()  # it was killed; no play ended
    assert waiting == ["h1", "h2"]
    assert back.status == "successful", back.failures()
    assert fleet.releases() == dict.fromkeys(HOSTS, OLD)
    assert fleet.waiting() == []
    assert fleet.journal("SELECT id, state FROM rollouts") == [(OWN, "back")]


def test_job_that_is_cancelled_and_left_leaves_no_host_behind(after):
    fleet, (job, releases) = after("cancelled_and_left")
    assert job.status == "canceled"
    assert fleet.touched() == ["h1", "h2"]
    assert releases == dict.fromkeys(HOSTS, OLD)


def test_job_that_is_cancelled_is_gone_on_with_and_later_taken_back_by_people(after):
    fleet, (job, resumed, releases, back) = after("cancelled_and_gone_on_with")
    assert (job.status, resumed.status, back.status) == ("canceled", "successful", "successful")
    assert fleet.applies() == dict.fromkeys(HOSTS, 1)
    assert releases == dict.fromkeys(HOSTS, NEW)
    assert fleet.releases() == dict.fromkeys(HOSTS, OLD)


def test_job_that_is_cancelled_before_it_began_takes_nobody_back(after):
    fleet, (job, back) = after("cancelled_early")
    assert job.status == "canceled"
    assert back.status == "successful", back.failures()
    assert back.says(f"nothing was begun as rollout {OWN}")
    assert fleet.touched() == []


def test_policies_that_were_approved_are_those_of_the_canary(after):
    fleet, jobs = after("policies")
    assert [job.status for job in jobs] == ["successful", "successful"]
    has = {host: fleet.state(host)["digest"] for host in HOSTS}
    assert dict(fleet.journal("SELECT host, wanted FROM hosts")) == has
    for host, digest in has.items():
        bundle = (fleet.folder / f"bundles/{digest}.json").read_text()
        assert '"first":80' in bundle.replace(" ", ""), host


def test_preflight_names_the_hosts_that_are_not_ready(after):
    fleet, job = after("not_ready")
    assert job.status == "failed"
    assert job.says("kernel is 4.19.0, needed >= 5.10")
    assert job.says("ready: h1, h4; NOT ready, see above: h2, h3")
    assert fleet.touched() == []

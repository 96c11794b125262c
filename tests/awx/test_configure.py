"""The released modules make an AWX what awx/vars says, over HTTP; made twice, nothing changes."""

from __future__ import annotations

import re

import pytest

from tests.awx.conftest import SITE
from tests.awx.stub import Stub


@pytest.fixture(scope="module")
def made(configure):
    """An empty AWX, configured; once more; and the last part of it after somebody has changed the workflow."""
    with Stub() as stub:
        runs = [configure(stub), configure(stub)]
        stub.state.named("workflow_job_templates", "tcmicro-rollout")["allow_simultaneous"] = True
        runs.append(configure(stub, "--start-at-task", "Workflows"))
        yield stub.state, runs


def changed(output: str) -> int:
    return int(re.search(r"changed=(\d+)", output)[1])


def test_first_run_makes_what_is_declared(made, declared):
    state, runs = made
    assert runs[0][0] == 0, runs[0][1]
    for kind, name in (
        ("organizations", "controller_organizations"),
        ("projects", "controller_projects"),
        ("inventories", "controller_inventories"),
        ("inventory_sources", "controller_inventory_sources"),
        ("execution_environments", "controller_execution_environments"),
        ("job_templates", "controller_templates"),
        ("workflow_job_templates", "controller_workflows"),
        ("schedules", "controller_schedules"),
        ("notification_templates", "controller_notifications"),
    ):
        assert state.names(kind) == [item["name"] for item in declared[name]], kind


def test_second_run_changes_nothing(made):
    _, runs = made
    assert runs[1][0] == 0, runs[1][1]
    assert changed(runs[0][1]) > 10
    assert changed(runs[1][1]) == 0, runs[1][1]


def test_what_somebody_changed_is_put_right(made):
    state, runs = made
    assert changed(runs[2][1]) == 1, runs[2][1]
    assert state.named("workflow_job_templates", "tcmicro-rollout")["allow_simultaneous"] is False


def test_surveys_are_there_as_declared(made, declared):
    state, _ = made
    for template in declared["controller_templates"]:
        number = state.named("job_templates", template["name"])["id"]
        assert state.surveys.get(("job_templates", number)) == template.get("survey_spec")


def test_nodes_are_joined_as_declared(made, declared):
    state, _ = made
    nodes = {n["identifier"]: n for n in state.lists["workflow_job_template_nodes"].values()}
    number = {n["id"]: name for name, n in nodes.items()}
    for node in declared["controller_workflows"][0]["workflow_nodes"]:
        for edge in ("success_nodes", "failure_nodes", "always_nodes"):
            wanted = [other["identifier"] for other in node.get("related", {}).get(edge, ())]
            held = state.members[
                "workflow_job_template_nodes", nodes[node["identifier"]]["id"], edge
            ]
            assert [number[i] for i in held] == wanted, (node["identifier"], edge)


def test_approval_waits_for_a_day(made):
    state, _ = made
    (approval,) = state.lists["workflow_approval_templates"].values()
    assert approval["timeout"] == 86400


def test_credentials_keep_their_injectors(made):
    state, _ = made
    injectors = state.named("credential_types", "tcmicro policy key")["injectors"]
    assert injectors["file"] == {"template.key": "{{ key }}"}
    assert injectors["extra_vars"] == {"tcmicro_policy_signing_key": "{{ tower.filename.key }}"}


def test_secrets_are_not_printed(made):
    for _, output in made[1]:
        for name in ("tcmicro_awx_ssh_key", "tcmicro_awx_policy_key", "tcmicro_awx_notify_url"):
            assert SITE[name] not in output


def test_site_that_is_not_described_is_refused_before_anything_is_made(configure):
    with Stub() as stub:
        code, output = configure(stub, site={"tcmicro_awx_image": "x"})
        assert code == 2
        assert "tcmicro_awx_state_dir" in output
        assert "tcmicro_awx_ssh_key" in output
        assert stub.state.calls == []


def test_check_says_what_would_be_changed_and_changes_nothing(made, configure):
    state, _ = made
    with Stub() as stub:
        stub.state = state
        state.named("schedules", "tcmicro nightly status")["enabled"] = False
        calls = len(state.calls)
        code, output = configure(stub, "--check", "--start-at-task", "Schedules")
        assert code == 0, output
        assert changed(output) == 1
        assert len(state.calls) == calls
        assert state.named("schedules", "tcmicro nightly status")["enabled"] is False

"""What people are asked is what the playbooks read, and the other way round."""

from __future__ import annotations

import subprocess

import pytest
import yaml
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.faults import CATALOGUE

from tests.awx.collection import ROOT
from tests.awx.inputs import reads

TEMPLATES = yaml.safe_load((ROOT / "awx/vars/templates.yml").read_text())["controller_templates"]
NAMES = [template["name"] for template in TEMPLATES]
# What -e may say of a playbook and no survey asks, with the reason.
NOT_ASKED = {
    "approve": "the workflow has an approval node",
    "expected_diffs": "a list of structures; it belongs beside the policies in the inventory",
    "hold_patience_s": "nobody holds a rollout from a terminal of AWX",
    "output": "a file of the container, gone with the job",
    "seed": "two hosts are as good as two others",
}
# The same, of one template.
NOT_ASKED_BY = {
    "tcmicro-canary": {"rollout_as": "people go on with a rollout by its id"},
    "tcmicro-rollback": {
        "rollout_as": "people take a rollout back by its id",
        "release": "going back by a host's own record takes everybody; that is for a terminal",
        "policy": "the same",
    },
    "tcmicro-drill": {
        "drill_amount": "the catalogue has one for each fault",
        "drill_expires_s": "the same",
        "drill_wave": "the first is where a fault has to be found",
        "drill_release_key": "a file; a terminal has it",
        "allow_missing": "a fleet that is not well is no place for a drill",
        "accept_blind": "the same",
        "now": "the same",
    },
    "tcmicro-rollout-waves": {
        "rollout": "rollout_as goes on with it",
        "abandon": "a person decides that, in tcmicro-canary",
    },
    "tcmicro-rollout-back": dict.fromkeys(("rollout", "release", "policy"), "it has rollout_as"),
}


def questions(template):
    spec = template.get("survey_spec", {}).get("spec", [])
    return {question["variable"]: question for question in spec}


@pytest.mark.parametrize("template", TEMPLATES, ids=NAMES)
def test_playbook_reads_every_answer(template):
    found = reads(template["playbook"])
    assert set(questions(template)) <= found.read | found.options


@pytest.mark.parametrize("template", TEMPLATES, ids=NAMES)
def test_everything_that_is_read_is_asked_or_has_a_reason(template):
    free = {n for n in reads(template["playbook"]).free if not n.startswith("tcmicro_")}
    asked = {*questions(template), *template["extra_vars"]}
    reasons = {*NOT_ASKED, *NOT_ASKED_BY.get(template["name"], ())}
    assert free - asked == free & reasons
    assert not asked & {*NOT_ASKED_BY.get(template["name"], ())}


@pytest.mark.parametrize("template", TEMPLATES, ids=NAMES)
def test_required_options_of_roles_are_asked_or_of_the_inventory(template):
    given = {*questions(template), *template["extra_vars"]}
    required = {n for n in required_options(template["playbook"]) if not n.endswith("_bundle")}
    assert required - given == set()


def required_options(playbook):
    """Of roles that a play runs as a whole, which is where nothing in the play sets them."""
    for play in yaml.safe_load((ROOT / playbook).read_text()):
        for role in play.get("roles", ()):
            path = ROOT / "roles" / role["role"] / "meta/argument_specs.yml"
            options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
            yield from (name for name, spec in options.items() if spec.get("required"))


@pytest.mark.parametrize("template", TEMPLATES, ids=NAMES)
def test_answers_of_roles_have_the_type_and_choices_of_their_options(template):
    types = {"integer": "int", "text": "str", "multiplechoice": "str"}
    for play in yaml.safe_load((ROOT / template["playbook"]).read_text()):
        names = [role["role"] for role in play.get("roles", ())]
        tasks = play.get("tasks", ())
        names += [
            t["ansible.builtin.import_role"]["name"]
            for t in tasks
            if "ansible.builtin.import_role" in t
        ]
        for name in names:
            path = ROOT / "roles" / name / "meta/argument_specs.yml"
            options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
            for variable, question in questions(template).items():
                if variable in options:
                    assert types[question["type"]] == options[variable]["type"]
                    assert question.get("choices") == options[variable].get("choices")


def test_every_playbook_passes_the_syntax_check():
    playbooks = sorted({template["playbook"] for template in TEMPLATES})
    done = subprocess.run(
        [
            str(ROOT / ".venv/bin/ansible-playbook"),
            "--syntax-check",
            "-i",
            "localhost,",
            *playbooks,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for playbook in playbooks:
        assert f"playbook: {playbook}" in done.stdout


def test_there_is_a_template_for_every_playbook_that_people_run():
    shipped = {f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml")}
    inner = {"playbooks/lab.yml", "playbooks/lab_vm.yml"}  # of the developer's machine
    # a part of others, and what every rollout shows first
    inner |= {"playbooks/take_back.yml", "playbooks/plan.yml"}
    inner |= {"playbooks/monitoring.yml", "playbooks/grafana.yml"}  # of other hosts than the fleet
    # the mirror is a directory beside a web server; a job's container has none
    inner |= {f"playbooks/{name}.yml" for name in ("pull", "pull_hosts", "pull_status")}
    assert shipped - inner <= {template["playbook"] for template in TEMPLATES}


def test_faults_that_a_drill_asks_for_are_those_of_the_catalogue():
    (drill,) = (template for template in TEMPLATES if template["name"] == "tcmicro-drill")
    assert questions(drill)["drill_fault"]["choices"] == list(CATALOGUE)

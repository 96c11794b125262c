"""Every variable in awx/ is an option of the released module that takes it, and the workflow is one that cannot leave a
host behind."""

from __future__ import annotations

import importlib
import sys

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.awx.collection import ROOT

TASKS = yaml.safe_load((ROOT / "awx/configure.yml").read_text())[0]["tasks"]
TEMPLATES = yaml.safe_load((ROOT / "awx/vars/templates.yml").read_text())
(WORKFLOW,) = TEMPLATES["controller_workflows"]
NODES = {node["identifier"]: node for node in WORKFLOW["workflow_nodes"]}
EDGES = ("success_nodes", "failure_nodes", "always_nodes")


def lists():
    """(module, list, options that the task hands over) of every task of configure.yml that loops over a list."""
    for task in TASKS:
        module = next(key for key in task if "." in key)
        if "subelements" not in task.get("loop", "subelements"):
            yield module, task["loop"].strip("{} "), set(task[module])


@pytest.fixture(scope="session")
def specification(awx_collections):
    """The argument specification of a module, as the module itself gives it when it is run."""
    sys.path.insert(0, str(awx_collections))

    class Told(Exception):
        pass

    def tell(argument_spec, **_):
        raise Told(argument_spec)

    def ask(name):
        path = f"ansible_collections.{name.replace('awx.awx.', 'awx.awx.plugins.modules.')}"
        module = importlib.import_module(path)
        module.ControllerAPIModule = tell
        with pytest.raises(Told) as told:
            module.main()
        return told.value.args[0]

    yield ask
    sys.path.remove(str(awx_collections))


def shown(value) -> str:
    return str(sorted(value) if isinstance(value, set) else value)[:40]


@pytest.mark.parametrize(("module", "name", "handed"), list(lists()), ids=shown)
def test_declared_things_are_options_of_the_module(specification, declared, module, name, handed):
    spec = specification(module)
    assert handed <= set(spec)
    for item in declared[name]:
        own = {key: value for key, value in item.items() if key != "workflow_nodes"}  # see below
        assert set(own) <= handed, item["name"]
        checked = ArgumentSpecValidator(spec).validate(own)
        assert checked.error_messages == [], item["name"]


def test_every_list_is_applied(declared):
    applied = {name for _, name, _ in lists()} | {"controller_settings"}
    assert {name for name in declared if name.startswith("controller_")} == applied


def test_nodes_are_handed_over_in_options_of_their_module(specification):
    module = "awx.awx.workflow_job_template_node"
    handed = [set(task[module]) for task in TASKS if module in task]
    assert len(handed) == 3
    assert set().union(*handed) <= set(specification(module))
    edges = set(EDGES)
    assert edges <= handed[-1]
    assert not edges & (
        handed[0] | handed[1]
    )  # the module looks for edges of an approval elsewhere


def test_fields_of_nodes_are_documented_options(awx_collections):
    path = awx_collections / "ansible_collections/awx/awx/plugins/modules/workflow_job_template.py"
    text = path.read_text().partition("DOCUMENTATION = '''")[2].partition("'''")[0]
    known = yaml.safe_load(text)["options"]["workflow_nodes"]["suboptions"]
    for node in WORKFLOW["workflow_nodes"]:
        assert set(node) <= set(known)
        assert set(node.get("related", {})) <= set(known["related"]["suboptions"])
        assert set(node["unified_job_template"]) <= set(known["unified_job_template"]["suboptions"])


# --- what holds of templates that write


def writes(template):
    return "tcmicro-writes" in template["labels"]


@pytest.mark.parametrize("template", TEMPLATES["controller_templates"], ids=lambda t: t["name"])
def test_nothing_is_sliced_or_runs_twice_at_a_time(template):
    assert template["job_slice_count"] == 1
    assert template["allow_simultaneous"] is False
    assert template["prevent_instance_group_fallback"] is True
    assert template.get("ask_job_slice_count_on_launch") is None


def test_uninstall_fits_no_host_until_somebody_names_them():
    by_name = {t["name"]: t for t in TEMPLATES["controller_templates"]}
    assert by_name["tcmicro-uninstall"]["limit"] == "name-the-hosts"
    assert by_name["tcmicro-uninstall"]["ask_limit_on_launch"] is True


# --- the workflow


def following(name, *kinds):
    related = NODES[name].get("related", {})
    return [node["identifier"] for kind in kinds for node in related.get(kind, ())]


def template_of(name):
    wanted = NODES[name]["unified_job_template"]["name"]
    known = {t["name"]: t for t in TEMPLATES["controller_templates"]}
    return known.get(wanted)


def reached(name, without=""):
    found, left = set(), [name]
    while left:
        node = left.pop()
        if node not in found and node != without:
            found.add(node)
            left += following(node, *EDGES)
    return found


def test_nodes_run_templates_that_are_declared():
    for name, node in NODES.items():
        assert template_of(name) or node["unified_job_template"]["type"] == "workflow_approval"
        assert set(following(name, *EDGES)) <= set(NODES)


def test_workflow_has_no_circle():
    for name in NODES:
        assert all(name not in reached(after) for after in following(name, *EDGES))


def test_every_node_before_the_end_takes_back_when_it_fails():
    """AWX counts error, cancel, denial and timeout as failure; what follows the fleet only reads."""
    for name in NODES:
        if name in ("back", "failed", "status"):
            continue
        assert following(name, "failure_nodes") == ["back"], name
    assert not writes(template_of("status"))


def test_taking_back_always_ends_in_failure():
    assert following("back", *EDGES) == following("back", "always_nodes") == ["failed"]
    assert following("failed", *EDGES) == []
    (play,) = yaml.safe_load((ROOT / template_of("failed")["playbook"]).read_text())
    assert "ansible.builtin.fail" in play["tasks"][-1]


def test_fleet_is_changed_only_after_the_canary_and_an_approval():
    assert "fleet" not in reached("preflight", without="canary")
    assert "fleet" not in reached("preflight", without="approval")
    assert NODES["canary"]["extra_data"] == {"stop_after": 1}
    assert NODES["approval"]["unified_job_template"]["timeout"] > 0


def test_one_rollout_under_one_id_is_begun_gone_on_with_and_taken_back():
    ids = {template_of(name)["extra_vars"]["rollout_as"] for name in ("canary", "fleet", "back")}
    assert ids == {"{% raw %}awx-{{ awx_workflow_job_id }}{% endraw %}"}


def test_prompts_of_nodes_are_asked_by_their_templates():
    asked = {question["variable"] for question in WORKFLOW["survey_spec"]["spec"]}
    for name in ("canary", "fleet"):
        survey = {q["variable"]: q for q in template_of(name)["survey_spec"]["spec"]}
        extra = NODES[name].get("extra_data", {})
        assert set(extra) <= set(survey)
        assert not set(extra) & asked  # the workflow's answers would win
        assert asked <= set(survey)
    for schedule in TEMPLATES["controller_schedules"]:
        known = {t["name"]: t for t in TEMPLATES["controller_templates"]}
        assert not writes(known[schedule["unified_job_template"]])

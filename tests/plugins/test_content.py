"""Roles, modules and filters say of themselves what they are: complete, and in one place."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml

ROLES = ("tcmicro_agent", "tcmicro_gate", "tcmicro_policy", "tcmicro_rollback")
FLEET = "collections/ansible_collections/tcmicro/fleet"


def options(root, role):
    """Options of every entry point of a role together."""
    specs = yaml.safe_load((root / f"roles/{role}/meta/argument_specs.yml").read_text())[
        "argument_specs"
    ]
    return {
        name: option for spec in specs.values() for name, option in spec.get("options", {}).items()
    }


def defaults(root, role):
    return yaml.safe_load((root / f"roles/{role}/defaults/main.yml").read_text())


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_those_of_the_argument_spec(root, role):
    said = {name: option.get("default") for name, option in options(root, role).items()}
    optional = {name for name, option in options(root, role).items() if not option.get("required")}
    there = {name: none_if_computed(value) for name, value in defaults(root, role).items()}
    assert there == {name: said[name] for name in optional}


def none_if_computed(value):
    """A default that is an expression has no place in a specification, which wants values of the option's type."""
    return None if isinstance(value, str) and "{{" in value else value


@pytest.mark.parametrize("role", ROLES)
def test_variables_carry_the_name_of_their_role(root, role):
    assert all(name.startswith(f"{role}_") for name in options(root, role))


@pytest.mark.parametrize("role", ROLES)
def test_role_has_a_readme(root, role):
    assert (root / f"roles/{role}/README.md").read_text().startswith(f"# {role}\n")


def names(root, folder, suffix):
    return sorted(path.stem for path in (root / FLEET / folder).glob(f"*{suffix}"))


def test_every_action_plugin_has_a_documented_module(root):
    assert set(names(root, "plugins/action", ".py")) <= set(names(root, "plugins/modules", ".py"))


def test_action_group_names_every_module(root):
    runtime = yaml.safe_load((root / FLEET / "meta/runtime.yml").read_text())
    assert runtime["action_groups"]["tcmicro"] == names(root, "plugins/modules", ".py")


@pytest.mark.parametrize(
    ("kind", "folder", "suffix"),
    [("module", "plugins/modules", ".py"), ("filter", "plugins/filter", ".yml")],
)
def test_ansible_doc_shows_every_plugin(root, kind, folder, suffix):
    wanted = [f"tcmicro.fleet.{name}" for name in names(root, folder, suffix)]
    command = ["ansible-doc", "--json", "-t", kind, *wanted]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    shown = json.loads(done.stdout)
    assert sorted(shown) == wanted
    assert all(entry["doc"]["short_description"] for entry in shown.values())
    assert all(entry["examples"] and entry["return"] for entry in shown.values())


def policy_options(root, role, tasks):
    """What a role tells the module that makes a bundle live."""
    found = yaml.safe_load((root / f"roles/{role}/tasks/{tasks}.yml").read_text())
    calls = [task["tcmicro.fleet.policy"] for task in found if "tcmicro.fleet.policy" in task]
    (call,) = [call for call in calls if "bundle" in call]
    return set(call)


def test_policy_is_gone_back_to_the_way_it_was_made_live(root):
    """Whoever is reached only by a detour is confirmed only by it; there is no lease on the way back."""
    forth = policy_options(root, "tcmicro_policy", "main")
    assert policy_options(root, "tcmicro_rollback", "policy") == forth - {"lease"}

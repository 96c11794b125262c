"""Every plugin of the collection is documented, and that is about the code that is there. New plugins are found."""

from __future__ import annotations

import ast
import json
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

FLEET = Path(__file__).resolve().parents[2] / "collections/ansible_collections/tcmicro/fleet"
PLUGINS = FLEET / "plugins"
DOCUMENTED = ("module", "filter", "callback", "inventory", "lookup", "test")
FOLDERS = {"module": "modules"}
PROMISES = {"check_mode", "diff_mode", "idempotent", "platform"}
# Names under which a plugin says what it takes.
SPECS = {"ARGUMENTS", "SPEC", "argument_spec"}


def folder(kind):
    return PLUGINS / FOLDERS.get(kind, kind)


def names(kind):
    """Plugins of a kind; filters and tests are documented one by one in YAML."""
    suffix = "*.yml" if kind in ("filter", "test") else "*.py"
    found = folder(kind).glob(suffix)
    return sorted(path.stem for path in found if path.stem != "__init__")


def plugins():
    return [(kind, name) for kind in DOCUMENTED for name in names(kind)]


@cache
def shown(kind):
    """What ansible-doc says of all plugins of a kind, and its warnings."""
    wanted = [f"tcmicro.fleet.{name}" for name in names(kind)]
    if not wanted:
        return {}, ""
    root = Path(__file__).resolve().parents[2]
    argv = ["ansible-doc", "--json", "-t", kind, *wanted]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("kind", [kind for kind in DOCUMENTED if names(kind)])
def test_ansible_doc_reads_every_plugin_without_a_word(kind):
    found, warnings = shown(kind)
    assert sorted(found) == [f"tcmicro.fleet.{name}" for name in names(kind)]
    assert warnings == ""


def test_every_kind_of_plugin_is_looked_at():
    others = {"action", "doc_fragments", "module_utils", "modules", "plugin_utils"}
    there = {path.name for path in PLUGINS.iterdir() if any(path.glob("*.py"))}
    assert there - others <= set(DOCUMENTED)


@pytest.mark.parametrize(("kind", "name"), plugins())
def test_plugin_says_since_when_by_whom_and_what_for(kind, name):
    document = shown(kind)[0][f"tcmicro.fleet.{name}"]["doc"]
    assert document["short_description"]
    assert document["description"]
    assert document["version_added"]
    assert document["author"]
    assert document["short_description"][-1] != "."


@pytest.mark.parametrize("name", names("module"))
def test_module_promises_modes_and_platform(name):
    document = shown("module")[0][f"tcmicro.fleet.{name}"]["doc"]
    assert set(document["attributes"]) >= PROMISES
    assert all(promise["description"] for promise in document["attributes"].values())


@pytest.mark.parametrize("name", names("module"))
def test_module_shows_an_example_by_its_full_name_and_what_it_returns(name):
    found = shown("module")[0][f"tcmicro.fleet.{name}"]
    tasks = yaml.safe_load(found["examples"])
    assert any(f"tcmicro.fleet.{name}" in task for task in tasks)
    assert found["return"]


@pytest.mark.parametrize("name", [name for name in names("module") if name.endswith("_info")])
def test_module_that_looks_changes_nothing(name):
    attributes = shown("module")[0][f"tcmicro.fleet.{name}"]["doc"]["attributes"]
    assert attributes["check_mode"]["support"] == "full"
    assert attributes["diff_mode"]["support"] == "N/A"
    tree = ast.parse((PLUGINS / "modules" / f"{name}.py").read_text())
    results = [
        keyword.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    ]
    assert "changed" not in results


def spec_of(path):
    """Argument specs in a source file, by evaluating nothing but the names of their options."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = {target.id for target in targets if isinstance(target, ast.Name)}
            if named & SPECS and isinstance(node.value, ast.Dict):
                return dictionary(node.value)
        if isinstance(node, ast.keyword) and node.arg in SPECS and isinstance(node.value, ast.Dict):
            return dictionary(node.value)
    return None


def dictionary(node):
    return {
        key.value: dict(zip([k.value for k in value.keys], value.values, strict=True))
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(value, ast.Dict)
    }


def spec(name):
    """Of the module, or where that is documentation alone, of its action."""
    for path in (PLUGINS / "modules" / f"{name}.py", PLUGINS / "action" / f"{name}.py"):
        if path.exists() and (found := spec_of(path)) is not None:
            return found
    raise AssertionError(f"{name}: no argument spec found under {sorted(SPECS)}")


@pytest.mark.parametrize("name", names("module"))
def test_documented_options_are_those_of_the_code(name):
    options = shown("module")[0][f"tcmicro.fleet.{name}"]["doc"]["options"]
    assert sorted(options) == sorted(spec(name))


@pytest.mark.parametrize("name", names("module"))
def test_documented_types_defaults_and_choices_are_those_of_the_code(name):
    options = shown("module")[0][f"tcmicro.fleet.{name}"]["doc"]["options"]
    wrong = []
    for option, given in spec(name).items():
        for part in ("type", "default", "required", "elements", "choices"):
            node = given.get(part)
            try:
                value = ast.literal_eval(node) if node else None
            except ValueError:
                continue  # an expression; ansible-test's validate-modules runs the module for it
            if (options[option].get(part) or None) != (value or None):
                wrong.append(
                    f"{option}.{part}: code {value}, documented {options[option].get(part)}"
                )
    assert wrong == []


def test_actions_are_documented_as_modules():
    assert set(names_of("action")) <= set(names("module"))


def names_of(place):
    return [path.stem for path in (PLUGINS / place).glob("*.py") if path.stem != "__init__"]


def test_filters_that_are_registered_are_documented():
    tree = ast.parse((PLUGINS / "filter/fleet.py").read_text())
    function = next(
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "filters"
    )
    registered = next(n for n in ast.walk(function) if isinstance(n, ast.Dict))
    assert sorted(key.value for key in registered.keys) == names("filter")  # noqa: SIM118


def test_readme_names_every_plugin_role_and_playbook():
    text = (FLEET / "README.md").read_text()
    root = Path(__file__).resolve().parents[2]
    roles = [path.name for path in (root / "roles").iterdir() if not path.name.startswith("lab")]
    playbooks = [
        p.stem
        for p in (root / "playbooks").glob("*.yml")
        if not p.stem.startswith(("lab", "take_back"))
    ]
    plugins_ = [name for kind in DOCUMENTED if kind != "filter" for name in names(kind)]
    assert [name for name in (*plugins_, *roles, *playbooks) if f"`{name}`" not in text] == []

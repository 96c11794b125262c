"""What is in the tarball, and what is not: no test, no lab, no key, nothing that differs from one build to the next."""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tools.collection.__main__ import build
from tools.collection.closure import PACKAGE, imported, needed
from tools.collection.stage import FLEET, VENDORED, tree
from tools.process import ToolError

TOP = {
    *("CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "changelogs", "docs"),
    *("meta", "monitoring", "playbooks", "plugins", "roles", "scripts"),
}
ROLES = {"tcmicro_agent", "tcmicro_gate", "tcmicro_policy", "tcmicro_rollback"}
PLAYBOOKS = {"canary", "deploy", "plan", "policy", "rollback", "status", "take_back", "uninstall"}
INPUTS = ("collections", "docs", "LICENSE", "monitoring", "playbooks", "roles", "tcmicro_agent")


def not_of_the_lab(folder):
    return [path for path in folder.iterdir() if not path.name.startswith("lab")]


def below(content, folder):
    return {name.removeprefix(f"{folder}/") for name in content if name.startswith(f"{folder}/")}


def test_top_level_is_what_a_collection_has(content):
    assert {name.partition("/")[0] for name in content} == TOP


def test_every_role_but_the_labs(content, root):
    shipped = {name.partition("/")[0] for name in below(content, "roles")}
    assert shipped == {path.name for path in not_of_the_lab(root / "roles")}
    assert shipped >= ROLES


def test_every_playbook_but_the_labs(content, root):
    names = {name for name in below(content, "playbooks") if "/" not in name}
    assert names == {path.name for path in not_of_the_lab(root / "playbooks") if path.is_file()}
    assert {f"{name}.yml" for name in PLAYBOOKS} <= names


def test_plugins_are_those_of_the_checkout(content, root):
    here = {str(path.relative_to(root / FLEET / "plugins")) for path in
            (root / FLEET / "plugins").rglob("*") if path.suffix in (".py", ".yml")}  # fmt: skip
    ours = {name for name in below(content, "plugins") if "/_vendor/" not in name}
    assert ours == here


def test_nothing_of_a_developers_machine_is_in_it(content):
    pattern = re.compile(r"\.pyc$|__pycache__|\.key|(^|/)tests/|/lab|inventories/|\.venv")
    assert [name for name in content if pattern.search(name)] == []


def test_vendored_package_is_whole_and_no_more(content, root):
    files = needed(root, root / FLEET / "plugins")
    vendored = {
        name: content[f"{VENDORED}/{name}"] for name in below(content, VENDORED) if name != ""
    }
    assert vendored == files
    outside = {"datapath", "daemon", "store", "executor", "metrics", "reconcile"}
    assert not outside & {Path(name).parts[1].removesuffix(".py") for name in files}


def test_vendored_modules_import_only_each_other_and_what_the_controller_has(content):
    allowed = {*sys.stdlib_module_names, "yaml", "ansible", "ansible_collections"}
    names = below(content, VENDORED)
    modules = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names
    }
    for name in names:
        for wanted in imported(content[f"{VENDORED}/{name}"].decode()):
            if wanted.partition(".")[0] == PACKAGE:
                assert wanted in modules or wanted.rpartition(".")[0] in modules, (
                    f"{name}: {wanted}"
                )
            else:
                assert wanted.partition(".")[0] in allowed, f"{name}: {wanted}"


def test_version_is_the_one_that_was_asked_for(content):
    manifest = json.loads(content["MANIFEST.json"])["collection_info"]
    assert (manifest["namespace"], manifest["name"], manifest["version"]) == (
        *("tcmicro", "fleet"),
        "9.8.7",
    )


def test_version_in_the_checkout_is_that_of_the_agent(root):
    galaxy = yaml.safe_load((root / FLEET / "galaxy.yml").read_text())
    tree_ = ast.parse((root / "tcmicro_agent/version.py").read_text())
    agent = next(node.value.value for node in tree_.body if isinstance(node, ast.Assign))
    assert galaxy["version"] == agent


def test_same_bytes_from_another_directory(tarball, root, tmp_path):
    place = tmp_path / "a-much-longer-name"
    for name in INPUTS:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        copy(root / name, place / name)
    assert build(place, "9.8.7", tmp_path / "built").read_bytes() == tarball.read_bytes()


def test_links_between_its_pages_lead_somewhere(content):
    pages = {name: text.decode() for name, text in content.items() if name.endswith(".md")}
    broken = [
        f"{name}: {link}"
        for name, text in pages.items()
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
        if not leads(name, link, content)
    ]
    assert broken == []


def leads(page, link, content):
    parts = [part for part in (Path(page).parent / link).parts if part != "."]
    while ".." in parts:
        at = parts.index("..")
        if at == 0:
            return False
        del parts[at - 1 : at + 1]
    target = "/".join(parts)
    return target in content or any(name.startswith(f"{target}/") for name in content)


def test_programs_may_be_run_and_nothing_else(tarball):
    with tarfile.open(tarball) as tar:
        runnable = [info.name for info in tar if info.isfile() and info.mode & 0o111]
    assert runnable == ["scripts/tc-micro"]


def test_relative_import_in_the_package_is_refused(tmp_path):
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "__init__.py").touch()
    (tmp_path / PACKAGE / "preflight.py").write_text("from . import errors\n")
    with pytest.raises(ToolError, match="imports relatively"):
        needed(tmp_path, tmp_path / "plugins")


def test_version_that_is_none_is_refused(root, tmp_path):
    with pytest.raises(ToolError, match="not like 1.2.3"):
        build(root, "new", tmp_path)


def test_tree_needs_no_build(root):
    assert "galaxy.yml" in tree(root, "1.2.3")

"""The execution environment is one that ansible-builder takes, pinned to what is tested here."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from tests.awx.collection import ROOT

FLEET = ROOT / "collections/ansible_collections/tcmicro/fleet"


def pins(text):
    found = re.findall(r"^([A-Za-z0-9_-]+)==([\w.]+)([^\n]*)", text, re.M)
    return {name.lower(): version for name, version, marker in found if ">= '3.12'" not in marker}


@pytest.fixture(scope="module")
def locked():
    return pins((ROOT / "requirements/dev.lock").read_text())


@pytest.fixture(scope="module")
def definition():
    return yaml.safe_load((ROOT / "ee/execution-environment.yml").read_text())


def test_builder_makes_its_context(tmp_path):
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-builder"), "create"]
        + ["-f", str(ROOT / "ee/execution-environment.yml"), "-c", str(tmp_path)]
        + ["--output-filename", "Containerfile"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = (tmp_path / "Containerfile").read_text()
    assert "ENV PYTHONPATH=/runner/project" in made
    assert "ansible-core==2.19.14" in made
    assert (tmp_path / "_build/requirements.txt").read_text() == (
        ROOT / "ee/requirements.txt"
    ).read_text()


def test_versions_are_those_that_are_tested(locked, definition):
    given = pins((ROOT / "ee/requirements.txt").read_text())
    for part in ("ansible_core", "ansible_runner"):
        given.update(pins(definition["dependencies"][part]["package_pip"]))
    assert given == {name: locked[name] for name in given}
    assert len(given) == 6


def test_everything_that_the_collection_asks_for_is_in_it():
    asked = (FLEET / "meta/ee-requirements.txt").read_text().splitlines()
    names = {line.lower() for line in asked if not line.startswith("#")}
    assert names <= set(pins((ROOT / "ee/requirements.txt").read_text()))
    assert (ROOT / "ee/bindep.txt").read_text() == (FLEET / "meta/ee-bindep.txt").read_text()


def test_collection_names_its_files():
    known = yaml.safe_load((FLEET / "meta/execution-environment.yml").read_text())
    assert known["version"] == 1
    for path in known["dependencies"].values():
        assert (FLEET / path).exists()

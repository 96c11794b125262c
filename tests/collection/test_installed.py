"""What was installed from the tarball works by itself: it is read, checked and run without the checkout."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.collection.conftest import alone, install
from tests.rollout.fleet import NEW, POLICY, Fleet
from tools.collection.stage import FLEET

PLAYBOOKS = sorted(
    path.stem
    for path in (Path(__file__).resolve().parents[2] / "playbooks").glob("*.yml")
    if not path.stem.startswith("lab")
)
HOSTS = ["h1", "h2", "h3", "h4"]


class Shipped(Fleet):
    """Fake hosts under the installed collection, run from a directory that holds artifacts and nothing else."""

    def __init__(self, folder: Path, tarball: Path) -> None:
        self.tarball = tarball
        super().__init__(folder, HOSTS)
        self.cwd = self.installed.work
        (self.folder / "artifacts").rename(self.cwd / "build")

    def _collection(self) -> None:
        self.installed = install(self.tarball, self.folder)
        fakes = Path(__file__).resolve().parents[1] / "rollout/fakes/modules"
        for fake in fakes.glob("*.py"):
            shutil.copy(fake, self.installed.fleet / "plugins/modules" / fake.name)

    def _inventory(self) -> None:
        super()._inventory()
        path = self.folder / "inventory.json"
        document = json.loads(path.read_text())
        shared = document["all"]["children"]["tcmicro"]["vars"]
        for name in ("tcmicro_artifacts_dir", "tcmicro_agent_artifacts_dir", "tcmicro_bundles_dir"):
            del shared[name]
        path.write_text(json.dumps(document))

    def command(self, playbook: str) -> list[str]:
        return [*alone("ansible-playbook"), f"tcmicro.fleet.{playbook}"]


@pytest.fixture
def fleet(tmp_path, tarball, monkeypatch):
    made = Shipped(tmp_path, tarball)
    for name, value in made.installed.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.end()


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_playbook_is_found_by_its_name(installed, playbook):
    (installed.work / "hosts.yml").write_text("tcmicro: {hosts: {h1: {}}}\n")
    done = installed.run(
        "ansible-playbook", "-i", "hosts.yml", "--syntax-check", f"tcmicro.fleet.{playbook}"
    )
    assert done.returncode == 0, done.stderr
    assert str(installed.fleet / f"playbooks/{playbook}.yml") in done.stdout


def test_ansible_doc_reads_roles_and_plugins(installed, root):
    modules = installed.run("ansible-doc", "--json", "-t", "module", "-l", "tcmicro.fleet")
    there = {path.stem for path in (root / FLEET / "plugins/modules").glob("*.py")}
    assert set(json.loads(modules.stdout)) == {f"tcmicro.fleet.{name}" for name in there}
    assert modules.stderr == ""
    roles = installed.run("ansible-doc", "--json", "-t", "role", "-l", "tcmicro.fleet")
    assert "tcmicro.fleet.tcmicro_agent" in json.loads(roles.stdout)
    assert roles.stderr == ""


def test_package_that_is_carried_goes_before_another_one(installed, tmp_path):
    other = tmp_path / "tcmicro_agent"
    other.mkdir()
    (other / "__init__.py").write_text("raise ImportError('the other one')\n")
    (installed.work / "policies").mkdir(exist_ok=True)
    (installed.work / "policies/fleet.yml").write_text(POLICY.format(port=22))
    (installed.work / "one.yml").write_text(
        "tcmicro: {hosts: {h1: {tcmicro_addresses: [10.0.0.1]}}}\n"
    )
    (installed.work / "resolve.yml").write_text(RESOLVE)
    done = installed.run(
        "ansible-playbook", "-i", "one.yml", "resolve.yml", PYTHONPATH=str(tmp_path)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((installed.work / "bundles").glob("*.json"))) == 1


RESOLVE = """\
- hosts: tcmicro
  gather_facts: false
  tasks:
    - tcmicro.fleet.bundles:
        policies: policies
        directory: bundles
"""


def test_plan_shows_the_waves(fleet):
    done = fleet.run("plan", "-e", f"release={NEW}", "-e", "waves=[50,100]")
    assert done.code == 0, done.output
    assert re.search(r"wave 1", done.output)
    assert fleet.touched() == []


def test_policies_are_resolved_into_bundles_of_the_working_directory(fleet):
    fleet.policies(port=443)
    done = fleet.run("canary", "-e", "policy=true", "--check")
    assert done.code == 0, done.output
    bundles = [
        json.loads(path.read_text()) for path in (fleet.cwd / "build/bundles").glob("*.json")
    ]
    assert sorted(bundle["host"] for bundle in bundles) == HOSTS


def test_release_goes_through_its_waves(fleet):
    done = fleet.canary()
    assert done.code == 0, done.output
    assert set(fleet.releases().values()) == {NEW}
    assert not list(fleet.installed.fleet.rglob("*.db")), "a journal inside the collection"
    argv = [str(fleet.installed.fleet / "scripts/tc-micro"), "rollout", "list", "--json"]
    listed = subprocess.run(
        [*argv, "--dir", str(fleet.rollouts)], capture_output=True, text=True, timeout=60
    )
    assert [r["state"] for r in json.loads(listed.stdout)["rollouts"]] == ["succeeded"]

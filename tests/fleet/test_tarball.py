"""One host of the lab by the tarball alone: no playbook, plugin or package of this checkout is in reach."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.collection.conftest import install
from tools.collection.__main__ import build
from tools.demo.playbook import RECAP
from tools.demo.releases import FIRST

pytestmark = pytest.mark.lab
VERSION = "9.8.7"
GROUP = """\
tcmicro_agent_release: "{release}"
tcmicro_release_keys:
  lab: "{{{{ lookup('ansible.builtin.file', inventory_dir ~ '/../keys/release.pub.pem') }}}}"
tcmicro_policy_keys:
  lab: "{{{{ lookup('ansible.builtin.file', inventory_dir ~ '/../keys/policy.pub.pem') }}}}"
tcmicro_policy_signing_key: "{{{{ inventory_dir }}}}/../keys/policy.key.pem"
"""


@pytest.fixture
def host(reach, scene):
    reach(1)
    return scene.lab.members("client")[0]


@pytest.fixture
def release(host, scene):
    """What the host runs already, if another test came before: a deploy changes no release."""
    found = scene.lab.ssh(host, "readlink /opt/tcmicro/current").out.strip()
    return found.rpartition("/")[2] or FIRST


@pytest.fixture
def user(scene, release, tmp_path):
    """Somebody with the collection, an artifact, keys and an inventory."""
    made = install(build(scene.root, VERSION, tmp_path / "built"), tmp_path / "user")
    inventory = made.work / "inventory"
    (inventory / "group_vars").mkdir(parents=True)
    (inventory / "group_vars/tcmicro.yml").write_text(GROUP.format(release=release))
    shutil.copy(scene.lab.inventory, inventory)
    shutil.copytree(scene.root / "inventories/lab/policies", inventory / "policies")
    shutil.copytree(scene.root / ".keys", made.work / "keys")
    (made.work / "build").mkdir()
    artifact = scene.artifacts[release]
    for suffix in ("", ".sha256", ".sig"):
        shutil.copy(artifact.with_name(artifact.name + suffix), made.work / "build")
    return made


@pytest.fixture
def play(user, host):
    def run(name, *words):
        where = ("-i", "inventory/hosts.yml", "--limit", host)
        done = user.run("ansible-playbook", *where, f"tcmicro.fleet.{name}", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        counts = dict(RECAP.findall(done.stdout.rpartition("PLAY RECAP")[2]))[host]
        return dict(pair.split("=") for pair in counts.split())

    return run


def test_tarball_deploys_a_release_and_its_policy(play, scene, host, release):
    play("deploy")
    play("policy")
    status = json.loads(scene.lab.ssh(host, "tc-micro status --json").out)
    assert (status["release"], status["policy"]["state"]) == (release, "committed")
    assert play("deploy")["changed"] == "0"

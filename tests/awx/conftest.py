"""What the tests of AWX share: the released collection, the files of awx/ as data, a controller that is a stub."""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml

from tests.awx.collection import ROOT, collections
from tests.awx.stub import TOKEN, Stub

LIMIT_S = 900  # seconds, for a machine that is busy with something else
SITE = {
    "tcmicro_awx_project_url": "ssh://git@git.example.org/tcmicro.git",
    "tcmicro_awx_project_branch": "main",
    "tcmicro_awx_inventory": "inventories/production",
    "tcmicro_awx_image": "tcmicro-ee:0.1.0",
    "tcmicro_awx_instance_group": "tcmicro",
    "tcmicro_awx_state_dir": "/var/lib/tcmicro-rollouts",
    "tcmicro_awx_ssh_user": "deploy",
    "tcmicro_awx_ssh_key": "the ssh key",
    "tcmicro_awx_policy_key": "the policy key",
    "tcmicro_awx_notify_url": "http://127.0.0.1:9/hook",
}


@pytest.fixture(scope="session")
def awx_collections():
    return collections()


@pytest.fixture(scope="session")
def declared():
    """Every list of awx/vars by its name."""
    files = sorted((ROOT / "awx/vars").glob("*.yml"))
    return {k: v for path in files for k, v in yaml.safe_load(path.read_text()).items()}


@pytest.fixture(scope="session")
def configure(awx_collections, tmp_path_factory):
    """Run awx/configure.yml against a stub; its exit code and output."""
    folder = tmp_path_factory.mktemp("configure")

    def run(stub: Stub, *words: str, site=SITE) -> tuple[int, str]:
        (folder / "site.yml").write_text(yaml.safe_dump(site))
        known = {
            "ANSIBLE_COLLECTIONS_PATH": str(awx_collections),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "CONTROLLER_HOST": stub.address,
            "CONTROLLER_OAUTH_TOKEN": TOKEN,
            "CONTROLLER_VERIFY_SSL": "false",
        }
        playbook = str(ROOT / "awx/configure.yml")
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", playbook]
            + ["-e", f"@{folder / 'site.yml'}", *words],
            cwd=ROOT,
            env={**os.environ, **known},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        return done.returncode, done.stdout + done.stderr

    return run

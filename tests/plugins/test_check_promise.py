"""Every module promises check mode and keeps it, and no playbook is left out of the tests that hold it to that."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FLEET = ROOT / "collections/ansible_collections/tcmicro/fleet"
MODULES = sorted(path.stem for path in (FLEET / "plugins/modules").glob("*.py"))
ACTIONS = {path.stem for path in (FLEET / "plugins/action").glob("*.py")}
FRAGMENTS = {f"tcmicro.fleet.attributes{part}" for part in ("", ".info", ".controller")}
# Where --check is compared with what is done after it; or why there is nothing to compare.
PLAYBOOKS = {
    "deploy": "tests/fleet/test_check_mode.py",
    "policy": "tests/fleet/test_check_mode.py",
    "uninstall": "tests/fleet/test_check_mode.py",
    "status": "tests/fleet/test_check_mode.py",
    "canary": "tests/rollout/test_check.py",
    "rollback": "tests/rollout/test_check.py",
    "lab": "acts on the developer's machine: test_lab.py has its check mode",
    "lab_vm": "acts on the developer's machine, by the module of lab",
    "monitoring": "tests/fleet/test_monitoring.py has its check mode",
    "grafana": "tests/monitoring/test_grafana.py",
    "pull": "tests/fleet/test_pull.py",
    "pull_hosts": "tests/fleet/test_pull.py",
    "pull_status": "changes nothing: it looks, and holds it against files of the controller",
    "preflight": "changes nothing: it looks whether a host can be deployed to",
    "drill": "plants a fault on purpose and removes it; its plan is what --check shows",
    "plan": "changes nothing: it consists of modules that only look",
    "take_back": "is part of canary and rollback",
}


def documentation(module):
    text = (FLEET / f"plugins/modules/{module}.py").read_text()
    return yaml.safe_load(text.partition('DOCUMENTATION = r"""')[2].partition('"""')[0])


def test_every_playbook_is_compared_or_says_why_not():
    assert sorted(PLAYBOOKS) == sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
    for name, where in PLAYBOOKS.items():
        if where.endswith(".py"):
            assert f'"{name}"' in (ROOT / where).read_text(), name


@pytest.mark.parametrize("module", MODULES)
def test_module_promises_check_mode(module):
    fragments = documentation(module)["extends_documentation_fragment"]
    assert FRAGMENTS & set(fragments)


@pytest.mark.parametrize("module", MODULES)
def test_module_that_runs_on_hosts_is_not_skipped_in_check_mode(module):
    text = (FLEET / f"plugins/modules/{module}.py").read_text()
    assert "supports_check_mode=True" in text or (
        module in ACTIONS and "AnsibleModule(" not in text
    )

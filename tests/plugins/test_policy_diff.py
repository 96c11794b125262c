"""--diff of a policy says what changes in meaning for the host, from the bundle it has and the one it shall have."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible_collections.tcmicro.fleet.plugins.action.policy import ActionModule
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import Agent
from ansible_collections.tcmicro.fleet.plugins.modules.policy import live
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.policy_diff import difference

from tcmicro_agent.policy import bundle
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source import parse_policies

POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: db-in}
spec:
  mode: protect
  applyTo: {groups: [db]}
  default: {ingress: deny, egress: allow}
  ingress:
    - {id: pg, from: [{groups: [web]}], ports: [tcp/5432]}
"""
HOSTS = {
    "web1": {"groups": ["web"], "labels": {}, "addresses": ["10.0.0.1"]},
    "db1": {"groups": ["db"], "labels": {}, "addresses": ["10.0.0.2"]},
}
NOW = 1_800_000_000
OPS = ["build slot 2", "flip to slot 2"]


def written(text):
    bundles = resolve(parse_policies([("policies/db.yml", text)]), parse_inventory(HOSTS))
    return bundle.write(bundles["db1"]).content.decode()


OLD, NEW = written(POLICY), written(POLICY.replace("tcp/5432", "tcp/5433"))


def prepared(old, new):
    return difference(old, new, OPS, NOW)["prepared"]


def test_what_opens_and_closes_is_told():
    assert prepared(OLD, NEW).splitlines() == [
        "+ web -> db1  tcp/5433  now db-in/pg (policies/db.yml:9); was default deny of db-in",
        "- web -> db1  tcp/5432  now default deny of db-in; was db-in/pg (policies/db.yml:9)",
        "1 opens, 1 closes",
    ]


def test_another_name_alone_is_no_difference():
    assert prepared(OLD, written(POLICY.replace("id: pg", "id: sql"))) == (
        "nothing changes in meaning\n"
    )


def test_first_policy_of_a_host_closes_what_it_refuses():
    lines = prepared("", NEW).splitlines()
    assert lines[0] == "~ mode of db1: allows everything -> protect"
    assert any(line.startswith("- world -> db1 ") for line in lines)


def test_rule_that_will_expire_is_told_with_its_time():
    timed = POLICY.replace("ports:", 'expires: "2099-12-15T18:00:00Z", ports:')
    assert prepared(OLD, written(timed)).splitlines() == [
        "nothing changes in meaning",
        "from 2099-12-15T18:00:00Z:",
        "- web -> db1  tcp/5432  now default deny of db-in; was db-in/pg (policies/db.yml:9)",
        "1 closes",
    ]


@pytest.mark.parametrize("unknown", [None, "{}", "not JSON"])
def test_unknown_live_bundle_leaves_the_ops(unknown):
    lines = prepared(unknown, NEW).splitlines()
    assert lines[-2:] == OPS
    assert len(lines) > 2


def agent(digest):
    status = {"policy": {"digest": digest}, "transaction": None}
    return Agent(lambda argv: (0, json.dumps(status), ""), "/x/tc-micro")


def test_live_bundle_is_the_one_the_host_keeps(tmp_path):
    (tmp_path / "abc.json").write_text(OLD)
    assert live(agent("abc"), tmp_path) == OLD
    assert live(agent(""), tmp_path) == ""
    assert live(agent("gone"), tmp_path) is None


class Action(ActionModule):
    """The action with a host that answers as scripted instead of a connection."""

    def __init__(self, path, *, diff, changed):
        args = {"bundle": str(path), "confirm_within": 20}
        self._task = SimpleNamespace(args=args, diff=diff, check_mode=True, async_val=0)
        self._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/x"))
        self._supports_async = self._supports_check_mode = True
        self.answer = {
            "changed": changed,
            "digest": "n" * 64,
            "ops": OPS if changed else [],
            "transaction": None,
            **({"live": OLD} if diff else {}),
        }

    def _execute_module(self, **call):
        assert call["module_args"]["operation"] == "apply"
        return dict(self.answer)


@pytest.mark.parametrize(
    ("diff", "changed", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_difference_is_shown_where_it_was_asked_for_and_something_changes(
    tmp_path, diff, changed, shown
):
    path = tmp_path / "new.json"
    path.write_text(NEW)
    action = Action(path, diff=diff, changed=changed)
    result = action.run(task_vars={"inventory_hostname": "db1"})
    assert "live" not in result
    assert result["changed"] is changed
    assert ("tcp/5433" in result.get("diff", {}).get("prepared", "")) is shown

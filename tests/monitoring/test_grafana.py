"""Our dashboards get into a Grafana, as files and over its API; a second run changes nothing, nor does --check."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
import yaml
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring import dashboards
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring.faults import MonitoringError

from tests.monitoring.conftest import ROOT
from tests.monitoring.grafana_stub import TOKEN, Grafana

FILES = sorted((ROOT / "monitoring/dashboards").glob("*.json"))
RUNBOOKS = "https://wiki.example.com/runbooks"
LIMIT_S = 600  # seconds, for a machine that is busy with something else


@pytest.fixture
def play(tmp_path):
    """The playbook on this machine under some variables: exit code, changed, output."""
    inventory = tmp_path / "hosts.yml"
    hosts = {"grafana": {"hosts": {"localhost": {"ansible_connection": "local"}}}}
    inventory.write_text(yaml.safe_dump(hosts))

    def run(variables, *words):
        given = json.dumps({"ansible_become": False, "grafana_runbooks": RUNBOOKS, **variables})
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ansible-playbook"), "playbooks/grafana.yml"]
            + ["-i", str(inventory), "-e", given, *words],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(tmp_path / "home")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        said = done.stdout + done.stderr
        return done.returncode, sum(map(int, re.findall(r"changed=(\d+)", said))), said

    return run


@pytest.fixture
def places(tmp_path):
    (tmp_path / "provisioning").mkdir()
    return {
        "grafana_provisioning_directory": str(tmp_path / "provisioning"),
        "grafana_dashboards_directory": str(tmp_path / "dashboards"),
        "grafana_group": "root",
        "grafana_service": "",
    }


@pytest.mark.root
def test_files_are_written_once_and_only_where_grafana_is(play, places, tmp_path):
    code, changed, said = play(places, "--check")
    assert code == 0, said
    assert changed > 0
    assert not (tmp_path / "dashboards").exists()
    assert play(places)[0] == 0
    provider = yaml.safe_load((tmp_path / "provisioning/tcmicro.yaml").read_text())
    assert provider["providers"][0]["options"]["path"] == str(tmp_path / "dashboards")
    written = sorted((tmp_path / "dashboards").iterdir())
    assert [path.name for path in written] == [path.name for path in FILES]
    assert all(RUNBOOKS in path.read_text() for path in written)
    (tmp_path / "dashboards/old.json").write_text("{}")
    assert play(places)[1] == 1
    assert not (tmp_path / "dashboards/old.json").exists()
    assert play(places)[1] == 0


def test_host_without_grafana_is_refused_before_anything_changes(play, tmp_path):
    places = {"grafana_provisioning_directory": str(tmp_path / "none")}
    code, changed, said = play(places)
    assert code != 0
    assert changed == 0
    assert "has no directory" in said


def test_api_gets_what_it_lacks_and_nothing_twice(play):
    with Grafana() as grafana:
        api = {"grafana_way": "api", "grafana_url": grafana.address, "grafana_token": TOKEN}
        code, changed, said = play(api, "--check")
        assert (code, changed) == (0, 1), said
        assert grafana.written == []
        code, changed, said = play(api)
        assert (code, changed) == (0, 2), said
        assert TOKEN not in said
        assert set(grafana.dashboards) == {f"tcmicro-{path.stem}" for path in FILES}
        assert grafana.folders == {"tcmicro": "tcmicro"}
        assert play(api, "-vv")[1] == 0
        written = len(grafana.written)
        grafana.dashboards["tcmicro-host"]["dashboard"]["title"] = "mine"
        code, changed, said = play(api)
        assert (code, changed) == (0, 1), said
        assert grafana.written[written:] == ["/api/dashboards/db"]
        assert grafana.dashboards["tcmicro-host"]["dashboard"]["title"] == "tcmicro / Host"


def test_wrong_token_is_refused_and_not_shown(play):
    with Grafana() as grafana:
        api = {"grafana_way": "api", "grafana_url": grafana.address, "grafana_token": "glsa_wrong"}
        code, changed, said = play(api, "-vvv")
    assert code != 0
    assert changed == 0
    assert "answers 401 (Invalid API key)" in " ".join(said.split())
    assert "glsa_wrong" not in said.partition("PLAY [")[2]
    assert grafana.written == []


OURS = {"uid": "a", "title": "A", "schemaVersion": 41, "panels": [{"id": 1, "targets": []}]}
KEPT = {
    "dashboard": {**OURS, "id": 7, "version": 3, "schemaVersion": 42, "preload": False},
    "meta": {"folderUid": "f"},
}


def answer(document, status=200):
    return {"status": status, "json": document}


def test_dashboard_that_says_more_is_ours_all_the_same():
    assert dashboards.outdated([OURS], [answer(KEPT)], "f") == []


@pytest.mark.parametrize(
    "found",
    [
        answer({}, 404),
        answer({**KEPT, "meta": {"folderUid": "other"}}),
        answer({**KEPT, "dashboard": {**KEPT["dashboard"], "title": "B"}}),
        answer({**KEPT, "dashboard": {**KEPT["dashboard"], "panels": []}}),
        answer({**KEPT, "dashboard": {**KEPT["dashboard"], "panels": [{"id": 1}]}}),
    ],
)
def test_dashboard_that_is_not_as_it_should_be_is_written(found):
    assert dashboards.outdated([OURS], [found], "f") == [OURS]


@pytest.mark.parametrize("found", [answer({}, 500), answer(None), {"status": -1}])
def test_server_that_says_neither_yes_nor_no_is_an_error(found):
    with pytest.raises(MonitoringError, match="dashboard a: the server answers"):
        dashboards.outdated([OURS], [found], "f")

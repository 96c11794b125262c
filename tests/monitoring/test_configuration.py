"""What the filters make is what Prometheus' and Alertmanager's own checkers take, and alerts go where they should."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring import (
    alerting,
    server,
    targets,
)

from tests.monitoring.conftest import RULES, alerts

HOSTS = {"web1": {"ansible_host": "10.0.0.1", "group_names": ["web"], "tcmicro_site": "north"}}
RECEIVERS = [
    {"name": name, "webhook_configs": [{"url": f"http://127.0.0.1:1/{name}"}]}
    for name in ("pager", "mail", "database")
]
TOLD = {"critical": "pager", "warning": "mail"}
OWN = {"receiver": "database", "matchers": ['groups=~".*,db,.*"']}


@pytest.fixture
def config(tmp_path):
    (tmp_path / "targets.json").write_text(json.dumps(targets.scrape_targets(["web1"], HOSTS)))
    document = server.prometheus_config(
        {
            "scrape_interval": "10s",
            "targets": str(tmp_path / "targets.json"),
            "rules": f"{RULES}/*.yml",
            "alertmanager": "127.0.0.1:9093",
            "remote_write": [{"url": "http://127.0.0.1:1/write"}],
        }
    )
    return document, tmp_path / "prometheus.yml"


def checked(argv):
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_promtool_takes_the_configuration_with_targets_and_rules(tool, config):
    document, path = config
    path.write_text(yaml.safe_dump(document))
    code, said = checked([tool("promtool"), "check", "config", path])
    assert code == 0, said
    assert said.count("rules found") == len(list(RULES.glob("*.yml")))


def test_promtool_refuses_one_whose_files_are_missing(tool, config):
    document, path = config
    document["scrape_configs"][0]["tls_config"] = {"cert_file": "/not/there.pem", "key_file": "/x"}
    path.write_text(yaml.safe_dump(document))
    assert checked([tool("promtool"), "check", "config", path])[0] == 1


def test_promtool_takes_the_web_configuration(tool, tmp_path):
    path = tmp_path / "web.yml"
    path.write_text(yaml.safe_dump(server.web_config({}, {"gate": "$2y$05$" + "a" * 53})))
    code, said = checked([tool("promtool"), "check", "web-config", path])
    assert code == 0, said


@pytest.fixture
def routes(tool, tmp_path):
    """Who is told of an alert with these labels."""
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(alerting.alertmanager_config(RECEIVERS, TOLD, [OWN])))
    code, said = checked([tool("amtool"), "check-config", path])
    assert code == 0, said

    def ask(**labels):
        words = [f"{name}={value}" for name, value in labels.items()]
        argv = [tool("amtool"), "config", "routes", "test", f"--config.file={path}", *words]
        done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    return ask


def test_alerts_go_by_severity_and_the_operators_own_routes(routes):
    assert routes(alertname="TcMicroAgentDown", severity="critical") == "pager"
    assert routes(alertname="TcMicroDrift", severity="warning") == "mail"
    assert routes(alertname="TcMicroRuleExpiring", severity="info") == "nobody"
    assert routes(alertname="TcMicroDrift", severity="warning", groups=",db,tcmicro,") == "database"
    assert routes(alertname="TcMicroDrift", severity="warning", groups=",dbx,") == "mail"


def test_only_alerts_that_there_are_explain_others():
    named = {*alerting.EXPLAINS, *(name for told in alerting.EXPLAINS.values() for name in told)}
    assert named <= set(alerts())

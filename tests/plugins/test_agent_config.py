"""What the role writes to /etc/tcmicro/agent.json, as Ansible makes it, is what the agent reads."""

from __future__ import annotations

import json
import subprocess
from ipaddress import ip_network

import pytest
import yaml

from tcmicro_agent import config
from tcmicro_agent.abi import Reason
from tcmicro_agent.listening import Listening, Tls
from tcmicro_agent.tuning import Limits, TcpMode, Tuning

PLAY = {
    "hosts": "localhost",
    "gather_facts": False,
    "tasks": [
        {"ansible.builtin.copy": {"dest": "", "content": "{{ tcmicro_agent_config | to_json }}"}}
    ],
}
FOUND = {"tcmicro_agent_prerequisites": {"connection": {"client": "10.77.0.1", "port": 22}}}
EVERYTHING = {
    "tcmicro_agent_sessions": 20000,
    "tcmicro_agent_tcp": "strict",
    "tcmicro_agent_sweep_s": 10,
    "tcmicro_agent_policy": {"hosts": 2000, "rules": 3000},
    "tcmicro_agent_events": {"reasons": ["rule_deny", "revoked"], "rate": 5, "burst": 6},
    "tcmicro_agent_syn_rate": {
        "source": {"above": 100, "below": 50},
        "listener": {"above": 0, "below": 0},
    },
}


def written(root, tmp_path, **variables) -> dict:
    """agent.json with these variables."""
    role, target, play = (
        root / "roles/tcmicro_agent",
        tmp_path / "agent.json",
        tmp_path / "play.yml",
    )
    PLAY["tasks"][0]["ansible.builtin.copy"]["dest"] = str(target)
    files = [str(role / "defaults/main.yml"), str(role / "vars/main.yml")]
    play.write_text(yaml.safe_dump([{**PLAY, "vars_files": files}]))
    extra = json.dumps({**FOUND, **variables})
    argv = ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", extra, str(play)]
    subprocess.run(argv, cwd=root, capture_output=True, check=True)
    return json.loads(target.read_text())


def test_by_default_nothing_is_written_that_an_earlier_release_cannot_read(root, tmp_path):
    document = written(root, tmp_path)
    assert set(document) == {"mode", "interfaces", "hook", "metrics", "failsafe"}
    assert config.parse(document).tuning == Tuning()


def test_every_variable_reaches_the_agent(root, tmp_path):
    assert config.parse(written(root, tmp_path, **EVERYTHING)).tuning == Tuning(
        capacity=20_000,
        tcp=TcpMode.STRICT,
        sweep_s=10,
        hosts=2000,
        rules=3000,
        event_reasons=(Reason.RULE_DENY, Reason.REVOKED),
        event_rate=5,
        event_burst=6,
        syn_source=Limits(100, 50),
        syn_listener=Limits(0, 0),
    )


FIELDS = {
    "tcmicro_agent_sessions": {"capacity"},
    "tcmicro_agent_tcp": {"tcp"},
    "tcmicro_agent_sweep_s": {"sweep_s"},
    "tcmicro_agent_policy": {"hosts", "rules"},
    "tcmicro_agent_events": {"event_reasons", "event_rate", "event_burst"},
    "tcmicro_agent_syn_rate": {"syn_source", "syn_listener"},
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_one_variable_alone_changes_its_part(root, tmp_path, name):
    tuning = config.parse(written(root, tmp_path, **{name: EVERYTHING[name]})).tuning
    default = vars(Tuning())
    assert {field for field, value in vars(tuning).items() if value != default[field]} == FIELDS[
        name
    ]


METRICS = {
    "tcmicro_agent_metrics_address": "::",
    "tcmicro_agent_metrics_port": 9000,
    "tcmicro_agent_metrics_networks": ["10.0.0.0/8"],
    "tcmicro_agent_metrics_tls": {"certificate": "/c.pem", "key": "/k.pem"},
    "tcmicro_agent_metrics_aliases": True,
}


def test_metrics_are_served_as_the_variables_say(root, tmp_path):
    assert set(written(root, tmp_path)["metrics"]) == {"address", "port"}
    networks, tls = (ip_network("10.0.0.0/8"),), Tls("/c.pem", "/k.pem")
    wanted = Listening("::", 9000, networks, tls, aliases=True)
    assert config.parse(written(root, tmp_path, **METRICS)).metrics == wanted

"""The agent's command line as modules see it, and where a connection comes from."""

from __future__ import annotations

import json

import pytest
from ansible_collections.tcmicro.fleet.plugins.module_utils import removal, ssh
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import Agent, Service


def agent(code, stdout, stderr=""):
    return Agent(lambda argv: (code, stdout, stderr), "/x/tc-micro")


def test_every_call_asks_for_one_document():
    asked = []
    Agent(lambda argv: asked.append(argv) or (0, "{}", ""), "/x/tc-micro").call("policy", "list")
    assert asked == [["/x/tc-micro", "policy", "list", "--json"]]


def test_good_answer():
    reply = agent(0, '{"kind": "Status"}').call("status")
    assert reply.ok
    assert reply.document == {"kind": "Status"}


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "says"),
    [
        (
            3,
            '{"error": {"message": "no", "hint": "wait"}}',
            "",
            "refused, nothing was changed: no (wait)",
        ),
        (6, '{"error": {"problems": ["a", "b"]}}', "", "was given invalid input: a; b"),
        (
            8,
            '{"error": {"message": "late"}}',
            "",
            "took the change back: late",
        ),
        (1, "", "Traceback: boom", "failed with exit code 1: Traceback: boom"),
        (0, "hello", "", "not one JSON document"),
        (0, "[1]", "", "not one JSON document"),
    ],
)
def test_complaint_is_in_the_agents_words(code, stdout, stderr, says):
    reply = agent(code, stdout, stderr).call("policy", "confirm", "t1")
    assert not reply.ok
    assert says in reply.complaint()
    assert reply.complaint().startswith("tc-micro policy confirm")


def test_service_state_is_read_from_systemd():
    shown = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNRestarts=2\nMainPID=7\n"
    state = Service(lambda argv: (0, shown, "")).show()
    assert (state["active"], state["enabled"], state["restarts"], state["pid"]) == (
        True,
        True,
        2,
        7,
    )
    assert state["state"] == "active (running)"


def test_service_that_is_not_there():
    state = Service(lambda argv: (0, "LoadState=not-found\nActiveState=inactive\n", "")).show()
    assert (state["installed"], state["active"], state["restarts"]) == (False, False, None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1 51000 10.0.0.2 22", {"client": "10.0.0.1", "port": 22}),
        ("fd77::1 51000 fd77::2 2222", {"client": "fd77::1", "port": 2222}),
        ("", {}),
        ("nonsense", {}),
    ],
)
def test_ssh_connection(text, found):
    assert ssh.parse(text) == found


def test_connection_is_found_above_sudo(tmp_path):
    for pid, parent, environ in (
        (30, 20, b"A=1\0"),
        (20, 10, b"SSH_CONNECTION=10.0.0.1 5 10.0.0.2 22\0"),
    ):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "environ").write_bytes(environ)
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (sudo (x)) S {parent} 1 1")
    assert ssh.connection({}, 30, tmp_path) == {"client": "10.0.0.1", "port": 22}


def filters(*rows):
    return json.dumps([{"pref": pref, "options": {"bpf_name": name}} for pref, name in rows])


@pytest.mark.parametrize(
    ("listing", "ours"),
    [
        (filters((49000, "tcm_ingress")), True),
        (filters((49000, "cil_from_netdev")), False),
        (filters((1, "tcm_ingress")), False),
        (filters((1, "x"), (49000, "tcm_egress")), True),
        ('[{"pref": 49000}]', False),
        ("", False),
        ("not json", False),
    ],
)
def test_only_our_own_filters_are_removed(listing, ours):
    assert removal._ours(listing) is ours

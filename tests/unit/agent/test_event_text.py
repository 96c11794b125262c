"""Events and sums as lines for eyes; the arguments of `tc-micro event`."""

from __future__ import annotations

import pytest

from tcmicro_agent.abi import Reason
from tcmicro_agent.cli import event_text
from tcmicro_agent.cli.events import wants_colours
from tcmicro_agent.cli.parser import parser

EVENT = {
    "time": "2026-01-02T03:04:05.678+00:00",
    "verdict": "deny",
    "direction": "ingress",
    "reason": "default_deny",
    "bank": "enforced",
    "generation": 7,
    "protocol": "tcp",
    "local": "10.0.0.1",
    "local_port": 5432,
    "remote": "10.0.0.2",
    "remote_port": 1000,
    "identity": "world",
    "rule": "default/ingress",
    "source": "policies/db.yml:3",
}


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def words(**changes: object) -> list[str]:
    return event_text.line({**EVENT, **changes}, colours=False).split()


def test_a_line_says_who_what_and_by_which_rule():
    assert words() == [
        "03:04:05.678",
        "deny",
        "ingress",
        "default_deny",
        "tcp",
        "10.0.0.1:5432",
        "<-",
        "10.0.0.2:1000",
        "world",
        "default/ingress",
        "(policies/db.yml:3)",
        "generation",
        "7",
    ]


def test_columns_stand_below_their_names():
    line, header = event_text.line(EVENT, colours=False), event_text.header()
    for name, cell in (("VERDICT", "deny"), ("REMOTE", "10.0.0.2"), ("RULE", "default/")):
        assert line.index(cell, header.index(name)) == header.index(name)


def test_what_monitor_mode_lets_pass_is_an_audit():
    assert words(bank="audited", verdict="allow")[1] == "audit"


def test_ipv6_in_brackets_and_no_ports_for_icmp():
    assert "[fd00::1]:5432" in words(local="fd00::1")
    assert "fd00::1" in words(local="fd00::1", protocol="icmp")
    assert words(direction="egress")[6] == "->"


def test_a_packet_without_addresses_or_rule_has_a_line():
    bare = {"local": "", "remote": "", "protocol": "", "rule": "", "source": ""}
    assert words(**bare, local_port=0, remote_port=0)[-2:] == ["generation", "7"]


@pytest.mark.parametrize(("bank", "colour"), [("enforced", 31), ("audited", 33)])
def test_colours_are_on_the_verdict_alone(bank, colour):
    plain = event_text.line({**EVENT, "bank": bank}, colours=False)
    painted = event_text.line({**EVENT, "bank": bank}, colours=True)
    assert painted.count("\033[") == 2
    assert f"\033[{colour}m" in painted
    assert painted.replace(f"\033[{colour}m", "").replace("\033[0m", "") == plain


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
    ],
)
def test_colours_only_where_they_are_wanted(terminal, environment, wanted):
    assert wants_colours(environment, terminal=terminal) is wanted


def test_sums_are_a_table_with_what_became_of_the_rest():
    entry = {**EVENT, "port": 5432, "packets": 9, "bytes": 540}
    text = event_text.sums(
        {"sums": [entry], "sent": 1, "summed": 11, "unsummed": 2, "forgotten": 2}
    )
    assert "tcp/5432" in text
    assert text.endswith("1 sent, 11 summed (2 of them forgotten), 2 unsummed")


def test_reasons_may_be_given_together_or_one_by_one():
    words = ["event", "follow", "--reason", "session", "dhcp", "--reason", "VLAN"]
    assert parser().parse_args(words).reason == [Reason.SESSION, Reason.DHCP, Reason.VLAN]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reason", "denied"], '"denied" is no reason (session, '),
        (["--seconds", "0"], "'0' is not a whole number above 0"),
        (["--limit", "-1"], "is not a whole number above 0"),
        (["--limit", "1.5"], "is not a whole number above 0"),
    ],
)
def test_wrong_arguments_are_usage(words, message, capsys):
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["event", "follow", *words])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err

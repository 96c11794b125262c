"""What counts as evidence, in values; and where a command came from, in a /proc of our own."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from builders import bundle, rule

from tcmicro_agent import evidence
from tcmicro_agent.config import Failsafe
from tcmicro_agent.datapath import connection
from tcmicro_agent.errors import BundleError
from tcmicro_agent.evidence import Connection, Probe, Sighting
from tcmicro_agent.policy.model import Action, Direction, Protocol

PEER, US = ip_address("10.0.0.9"), ip_address("10.0.0.1")
PROBE = Probe(PEER, 40000, US, 5432, 6, "2026-01-01T00:00:00Z", "answered")
FAILSAFE = (Failsafe(Direction.INGRESS, Protocol.TCP, 22, ip_network("10.0.0.0/24")),)
DOCUMENT = {
    "source": "10.0.0.9",
    "source_port": 40000,
    "destination": "10.0.0.1",
    "port": 5432,
    "protocol": "tcp",
    "started_at": "2026-01-01T00:00:00Z",
    "outcome": "answered",
}


def test_probes_are_read_whole_or_refused_with_their_place():
    assert evidence.parse({"probes": [DOCUMENT]}) == (PROBE,)
    with pytest.raises(BundleError, match=r"probes\[0\]\.protocol: 'icmp' cannot be probed"):
        evidence.parse({"probes": [{**DOCUMENT, "protocol": "icmp"}]})


@pytest.mark.parametrize(
    ("born_ms", "flipped_ms", "says"),
    [(5001, 5000, ""), (5000, 5000, "older than the policy"), (9, 0, "was cut before")],
)
def test_the_connection_has_to_be_younger_than_the_flip(born_ms, flipped_ms, says):
    came = Connection(PEER, 50000, US, 22, born_ms)
    fault = evidence.fault_of_connection(came, flipped_ms)
    assert says in fault
    assert bool(says) == bool(fault)


def test_what_did_not_come_by_ssh_shows_nothing():
    assert evidence.fault_of_connection(None, 5000) == "this command did not come by ssh"


@pytest.mark.parametrize(
    ("verdict", "cut_off", "good"),
    [
        (Action.ALLOW, False, True),
        (Action.ALLOW, True, True),
        (Action.DENY, False, True),
        (Action.DENY, True, False),
        (None, False, False),
        (None, True, False),
    ],
)
def test_every_sighting(verdict, cut_off, good):
    fault = evidence.fault_of_probes([Sighting(PROBE, verdict)], cut_off=cut_off)
    assert (fault == "") == good


def test_a_flow_that_the_failsafe_keeps_open_tells_nothing():
    assert evidence.is_failsafe(replace(PROBE, port=22), FAILSAFE)
    assert not evidence.is_failsafe(PROBE, FAILSAFE)
    assert not evidence.is_failsafe(
        replace(PROBE, port=22, source=ip_address("10.9.0.1")), FAILSAFE
    )


OPEN = bundle(rule("p/db", "tcp/5432"))
NOTHING = bundle()
SSH_ALONE = bundle(rule("p/ssh", "tcp/22"), rule("p/ping", "icmp"))
CLIENT = bundle(egress=Action.ALLOW)
NOBODY = tuple(
    replace(rule(f"q/{way.value}", "any"), direction=way, action=Action.DENY, any_peer=True)
    for way in Direction
)
SHUT = replace(CLIENT, rules=(*NOBODY, *OPEN.rules))  # as a quarantine above all else does
AUDITED = replace(CLIENT, rules=(*(replace(r, audits=True) for r in NOBODY), *OPEN.rules))


@pytest.mark.parametrize(
    ("before", "after", "cut_off"),
    [
        (OPEN, OPEN, False),
        (None, OPEN, False),
        (OPEN, NOTHING, True),
        (None, NOTHING, True),
        (NOTHING, NOTHING, True),
        (OPEN, SSH_ALONE, True),
        (OPEN, CLIENT, True),  # somebody got in before, and nobody does now
        (CLIENT, CLIENT, False),
        (None, CLIENT, False),
        (OPEN, SHUT, True),
        (None, SHUT, True),
        (OPEN, AUDITED, False),
        (OPEN, replace(SHUT, rules=(*OPEN.rules, *NOBODY)), False),
    ],
)
def test_which_policies_cut_a_host_off(before, after, cut_off):
    assert evidence.cuts_off(before, after, FAILSAFE) == cut_off


# --- where a command came from ---

CAME = b"SSH_CONNECTION=10.0.0.9 50000 10.0.0.1 22"
TICKS = os.sysconf("SC_CLK_TCK")


def processes(root, *chain: tuple[int, bytes, bytes]):
    """A /proc: (seconds since boot, title, environment) of the command first, then of each parent."""
    for number, (start, title, environ) in enumerate(chain, 100):
        directory = root / str(number)
        directory.mkdir()
        parent = number + 1 if number - 99 < len(chain) else 0
        numbers = [b"S", b"%d" % parent, *[b"0"] * 17, b"%d" % (start * TICKS)]
        stat = b"%d (a ) name) " % number + b" ".join(numbers)
        (directory / "stat").write_bytes(stat)
        (directory / "cmdline").write_bytes(title)
        (directory / "environ").write_bytes(environ)
    return root


LISTENER = (1, b"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", b"")
INIT = (0, b"/sbin/init", b"")
CHAINS = {
    "as root": [(9, b"tc-micro", CAME), (8, b"sshd: root@notty", b""), LISTENER, INIT],
    "by sudo, which hides the variable": [
        (9, b"tc-micro", b"PATH=/bin"),
        (9, b"sudo", b"A=1\0" + CAME),
        (9, b"sshd: joe@notty", b""),
        (8, b"sshd: joe [priv]", b""),
        LISTENER,
        INIT,
    ],
    "by a server of its own for each": [
        (9, b"tc-micro", CAME),
        (8, b"sshd-session: root@notty", b""),
        INIT,
    ],
    "by another server than OpenSSH": [(9, b"tc-micro", CAME), (8, b"/sbin/dropbear", b""), INIT],
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_connection_is_as_old_as_its_server(tmp_path, name):
    ends = connection.find(100, processes(tmp_path, *CHAINS[name]))
    assert ends == connection.Ends("10.0.0.9", 50000, "10.0.0.1", 22, 8000)


@pytest.mark.parametrize("environ", [b"", b"SSH_CONNECTION=", b"SSH_CONNECTION=a b c d"])
def test_no_connection(tmp_path, environ):
    chain = [(9, b"tc-micro", environ), (8, b"bash", b""), INIT]
    assert connection.find(100, processes(tmp_path, *chain)) is None

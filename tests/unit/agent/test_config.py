"""The agent's configuration: defaults, and refusal as a whole."""

from __future__ import annotations

import pytest

from tcmicro_agent import abi, config
from tcmicro_agent.errors import BundleError
from tcmicro_agent.policy.model import Mode


def test_empty_means_defaults():
    assert config.parse({}) == config.Config()


def test_everything_set():
    parsed = config.parse(
        {
            "mode": "monitor",
            "interfaces": ["eth0"],
            "hook": "clsact",
            "metrics": {"address": "::", "port": 9000},
            "failsafe": [
                {"direction": "egress", "protocol": "udp", "port": 53, "cidr": "fd00::/8"}
            ],
            "sessions": {"capacity": 2048},
        }
    )
    assert (parsed.mode, parsed.interfaces, parsed.metrics.port) == (Mode.MONITOR, ("eth0",), 9000)
    [key] = parsed.failsafe_keys()
    prefix, direction, protocol, port, address = abi.FAILSAFE_KEY.unpack(key)
    assert (prefix, direction, protocol, port) == (40, 1, 17, b"\x00\x35")
    assert address[:1] == b"\xfd"


def test_sessions_are_sized_by_memory_unless_a_number_is_given():
    gigabyte = 1 << 30
    for document in ({}, {"sessions": {}}, {"sessions": {"capacity": 0}}):
        tuning = config.parse(document).tuning
        assert tuning.map_sizes(gigabyte // 2)["tcm_tcp4"] == 150_000
        assert 400_000 < tuning.map_sizes(24 * gigabyte)["tcm_tcp4"] < 450_000
        assert tuning.map_sizes(1024 * gigabyte)["tcm_tcp4"] == 1 << 20
    sizes = config.parse({"sessions": {"capacity": 8000}}).tuning.map_sizes(gigabyte)
    names = ("tcm_tcp4", "tcm_tcp6", "tcm_other4", "tcm_other6")
    assert [sizes[name] for name in names] == [8000, 4000, 2000, 1000]


def test_ipv4_failsafe_is_mapped():
    entry = {"protocol": "tcp", "port": 22, "cidr": "10.0.0.0/8"}
    [key] = config.parse({"failsafe": [entry]}).failsafe_keys()
    prefix, direction, _, _, address = abi.FAILSAFE_KEY.unpack(key)
    assert (prefix, direction) == (32 + 96 + 8, 0)
    assert address == bytes(10) + b"\xff\xff\x0a\x00\x00\x00"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"mode": "off"}, "mode:"),
        ({"modes": "monitor"}, 'unknown key "modes"'),
        (
            {"failsafe": [{"protocol": "tcp", "cidr": "10.0.0.1/8", "port": 22}]},
            "failsafe[0].cidr:",
        ),
        ({"failsafe": [{"protocol": "tcp", "cidr": "10.0.0.0/8"}]}, "failsafe[0].port:"),
        ({"failsafe": [{"protocol": "any", "cidr": "10.0.0.0/8"}]}, "failsafe[0].protocol:"),
        ({"sessions": {"capacity": 1}}, "sessions.capacity:"),
        ({"metrics": {"port": 0}}, "metrics.port:"),
        ({"failsafe": [{"protocol": "tcp", "port": 22}] * 1025}, "failsafe: 1025 entries"),
        ({"interfaces": ["eth0", "lo"]}, 'interfaces[1]: "lo" is never guarded'),
        ({"interfaces": ["eth0/1"]}, "interfaces[0]: 'eth0/1' is no name of an interface"),
        ({"interfaces": []}, "interfaces: names none"),
    ],
)
def test_refused_with_the_place(document, place):
    with pytest.raises(BundleError) as caught:
        config.parse(document)
    assert any(place in problem for problem in caught.value.problems), caught.value.problems

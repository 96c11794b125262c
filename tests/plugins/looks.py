"""Looks at hosts as agent_info returns them, the smallest that are valid."""

from __future__ import annotations

import copy


def look(**changes):
    """A host that is well. `status__policy__digest="x"` changes one value deep inside."""
    well = {
        "installed": True,
        "releases": {"current": "0.1.0", "previous": None, "installed": ["0.1.0"]},
        "service": {
            "active": True,
            "state": "active (running)",
            "restarts": 0,
            "pid": 7,
        },
        "status": {
            "release": "0.1.0",
            "agent": {"running": True, "release": "0.1.0"},
            "datapath": {
                "loaded": True,
                "mode": "protect",
                "interfaces": [{"name": "eth0", "ingress": True, "egress": True}],
            },
            "policy": {"generation": 3, "digest": "ab12", "state": "committed", "mode": "protect"},
            "transaction": None,
            "sessions": 4,
            "drift": [],
        },
        "problem": "",
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = well
        for name in parents:
            place = place[name]
        place[last] = value
    return copy.deepcopy(well)


def upgraded(release="0.1.1", **changes):
    paths = ("releases__current", "status__release", "status__agent__release")
    return look(**{**dict.fromkeys(paths, release), **changes})


UNREACHABLE = {
    "unreachable": True,
    "msg": "Task failed: Failed to connect to the host via ssh: ssh: connect to host db1 port 22: No route to host",
}

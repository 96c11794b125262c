"""Who of a fleet that pulls is where, by what hosts say and pointers name."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import pulls
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.pulls import Named

from tcmicro_agent.pointer import Pointer

WANTED, OTHER = "ab" * 32, "cd" * 32
NOW, GRACE = 10_000, 600


def named(share=100, since=NOW - 60):
    return Named(Pointer("web1", WANTED, 7, NOW * 2, share), since)


def look(live=OTHER, **said):
    pulled = {
        **{"live": live, "at": NOW - 30, "result": "current", "why": "", "well_at": NOW - 30},
        **{"serial": 7, "digest": WANTED, "tries": 0, "went_back": ""},
        **said,
    }
    return {"pulled": pulled, "problem": ""}


def state(seen, pointer=None):
    (row,) = pulls.rows(["web1"], {"web1": seen} if seen else {}, pointer or {}, NOW, GRACE)
    return row["state"], row["why"]


LATE = {"web1": named(since=NOW - GRACE - 1)}


@pytest.mark.parametrize(
    ("seen", "pointers", "wanted"),
    [
        (look(WANTED), {"web1": named()}, ("current", "")),
        (look(), {"web1": named()}, ("pending", "current")),
        (look(), {"web1": named(share=1)}, ("waiting", "its turn comes after")),
        (look(result="unreachable", why="no route"), LATE, ("late", "unreachable: no route")),
        (look(went_back="mirror: gone"), LATE, ("went back", "mirror: gone")),
        (look(went_back="mirror: gone", serial=6), LATE, ("late", "current")),
        (look(), {}, ("no pointer", "playbooks/pull.yml writes it")),
        (None, LATE, ("no answer", "nothing was heard")),
        (
            {"unreachable": True, "msg": "Failed to connect via ssh: refused"},
            *(LATE, ("no answer", "refused")),
        ),
        ({"failed": True, "msg": "no python"}, LATE, ("no answer", "no python")),
        (
            {"pulled": None, "problem": "tc-micro policy pulled refused"},
            *(LATE, ("does not pull", "tc-micro policy pulled refused")),
        ),
    ],
)
def test_each_state_and_why(seen, pointers, wanted):
    found = state(seen, pointers)
    assert found[0] == wanted[0]
    assert found[1].startswith(wanted[1])


def test_the_table_has_a_line_for_everybody():
    looks = {"web1": look(WANTED), "web2": look(WANTED, at=0)}
    found = pulls.rows(["web2", "web1", "web3"], looks, {"web1": named()}, NOW, GRACE)
    lines = pulls.lines(found, NOW)
    assert [line.split()[0] for line in lines] == ["host", "web1", "web2", "web3"]
    assert "30 s ago" in lines[1]
    assert "never" in lines[2]
    assert pulls.summary(found) == {"current": 1, "no answer": 1, "no pointer": 1}


def test_somebody_has_to_look_at_these_and_at_no_others():
    well = [{"host": f"h{n}", "state": s} for n, s in enumerate(("current", "pending", "waiting"))]
    assert pulls.complaint(well) == ""
    amiss = [{"host": f"x{n:02}", "state": "late"} for n in range(12)]
    amiss.append({"host": "y", "state": "went back"})
    said = pulls.complaint([*well, *amiss])
    assert said.startswith("12 hosts late: x00, ")
    assert "x09 and 2 more; 1 host went back: y" in said

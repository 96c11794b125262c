"""A frame of the live view: it fits any terminal, sorts, and hands no command to it."""

from __future__ import annotations

import pytest

from tcmicro_agent.cli.top_frame import SORTS, View, lines, next_sort
from tcmicro_agent.live import Sample, document

STATUS = {
    "generation": 7,
    "digest": "ab",
    "mode": "protect",
    "state": "committed",
    "deadline_in_s": None,
    "staged_generation": None,
}
WAYS = [(d, v) for d in ("ingress", "egress") for v in ("allow", "deny", "audit")]


def rules(*hits: int) -> list[dict]:
    return [
        {
            "rule": f"p/r{n}",
            "source": "p.yml:1",
            "direction": "ingress",
            "action": "allow",
            "hits": h,
        }
        for n, h in enumerate(hits)
    ]


def sample(at: float, factor: int, **parts) -> Sample:
    made = Sample(
        at=at,
        status=STATUS,
        counters=dict.fromkeys(WAYS, 100 * factor),
        rules=rules(*range(5, 105, 5)),
        sums={"ingress tcp/22 default_deny": 4 * factor},
        fill={"tcp4": (50, 100), "half4": (0, 100)},
        denied=[(at, "192.0.2.9", "world", "ingress tcp/22 default_deny")] * 3,
        follows=True,
    )
    for name, value in parts.items():
        setattr(made, name, value)
    return made


DOC = document(sample(0, 1), sample(2, 3))


def test_rates_are_per_second_between_two_samples():
    rates = {(row["direction"], row["verdict"]): row["packets_per_s"] for row in DOC["packets"]}
    assert rates == dict.fromkeys(WAYS, 100.0)
    assert DOC["interval_s"] == 2


def test_refused_services_are_events_and_what_sums_grew():
    assert DOC["denied"]["services"] == [{"service": "ingress tcp/22 default_deny", "packets": 11}]
    assert DOC["denied"]["peers"] == [{"peer": "192.0.2.9", "name": "world", "packets": 3}]


@pytest.mark.parametrize("width", [1, 20, 80, 200])
@pytest.mark.parametrize("height", [1, 5, 12, 24, 100])
def test_a_frame_fits_its_terminal(width, height):
    shown = lines(DOC, View(width, height), "12:00:00")
    assert len(shown) <= height
    assert max(map(len, shown)) <= width


def test_every_part_is_seen_in_a_usual_terminal():
    shown = "\n".join(lines(DOC, View(80, 24), "12:00:00"))
    for part in ("generation 7, protect, committed", "PACKETS", "HITS/S", "REFUSED", "192.0.2.9"):
        assert part in shown
    assert "SESSIONS" in shown
    assert "50%" in shown


def test_sorting_changes_the_order_of_the_rules():
    before = sample(0, 1, rules=rules(100, 5, 50))
    doc = document(before, sample(1, 1, rules=rules(101, 25, 50)))

    def order(sort: str) -> list[str]:
        shown = lines(doc, View(sort=sort), "")
        return [word for line in shown for word in line.split() if word.startswith("p/r")]

    assert order("rate") == ["p/r1", "p/r0", "p/r2"]
    assert order("hits") == ["p/r0", "p/r2", "p/r1"]
    assert order("name") == ["p/r0", "p/r1", "p/r2"]
    assert [next_sort(sort) for sort in SORTS] == ["hits", "name", "rate"]


def test_names_give_no_commands_to_the_terminal():
    evil = [{**rules(1)[0], "source": "\x1b]0;pwned\x07\n\x9b31m"}]
    doc = document(sample(0, 1, rules=evil), sample(1, 1, rules=evil))
    shown = lines(doc, View(), "")
    assert not [c for line in shown for c in line if ord(c) < 32 or 127 <= ord(c) < 160]


def test_colours_only_where_they_are_wanted():
    assert "\x1b[" in "".join(lines(DOC, View(colours=True), ""))
    assert "\x1b" not in "".join(lines(DOC, View(), ""))


def test_a_deadline_and_a_missing_policy_stand_out():
    pending = {**STATUS, "state": "pending", "deadline_in_s": 41.6}
    doc = document(sample(0, 1), sample(1, 1, status=pending))
    assert "TAKEN BACK IN 42 s" in lines(doc, View(), "")[0]
    none = document(sample(0, 1), sample(1, 1, status={**STATUS, "state": "none"}))
    assert "NO POLICY" in lines(none, View(), "")[0]


def test_without_events_peers_are_said_to_be_unknown():
    doc = document(sample(0, 1), sample(1, 1, follows=False, denied=[]))
    assert any("somebody else follows" in line for line in lines(doc, View(), ""))

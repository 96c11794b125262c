"""What must hold is looked at while a wave bakes."""

from __future__ import annotations


def test_a_bake_has_looks_of_its_own(fleet):
    outcome = fleet.canary("-e", "bake=30")
    assert outcome.code == 0, outcome.output
    assert "Look at the hosts while they bake" in outcome.output
    assert "not judged" in outcome.output

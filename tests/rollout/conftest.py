"""Fleets of fake hosts."""

from __future__ import annotations

import pytest

from tests.rollout.fleet import Fleet


@pytest.fixture
def fleet(tmp_path):
    """Four hosts, in waves of two."""
    return Fleet(tmp_path, ["h1", "h2", "h3", "h4"])

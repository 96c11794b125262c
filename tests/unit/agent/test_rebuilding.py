"""When a policy is built anew that the kernel judges wrongly: at the second look, and once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tcmicro_agent.probe import Finding, Why
from tcmicro_agent.rebuilding import Rebuilding


class Host:
    """Builds the generation after the last one, as long as `can`."""

    def __init__(self) -> None:
        self.generation, self.built, self.can = 3, [], True

    def rebuild(self):
        if not self.can:
            return None
        self.generation += 1
        self.built.append(self.generation)
        return SimpleNamespace(generation=self.generation)


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def looks(host):
    """Follows one finding after the other; how many events each came to."""
    rebuilding = Rebuilding(host)

    def follow(*findings):
        return [len(rebuilding.follow(Finding(why, "", number))) for why, number in findings]

    return follow


RIGHT, WRONG = Why.NONE, Why.WRONG_ANSWER


def test_the_second_look_decides(host, looks):
    assert looks((WRONG, 3), (RIGHT, 3), (WRONG, 3)) == [0, 0, 0]
    assert looks((WRONG, 3)) == [1]
    assert host.built == [4]


def test_another_generation_is_looked_at_twice_too(host, looks):
    assert looks((WRONG, 2), (WRONG, 3)) == [0, 0]
    assert host.built == []


def test_what_comes_out_wrong_again_is_left(host, looks):
    assert looks((WRONG, 3), (WRONG, 3), (WRONG, 4), (WRONG, 4), (WRONG, 4)) == [0, 1, 0, 0, 0]
    assert host.built == [4]


def test_damage_after_it_was_right_is_repaired_once_more(host, looks):
    assert looks((WRONG, 3), (WRONG, 3), (RIGHT, 4), (WRONG, 4), (WRONG, 4)) == [0, 1, 0, 0, 1]
    assert host.built == [4, 5]


def test_what_cannot_be_built_now_is_tried_again(host, looks):
    host.can = False
    assert looks((WRONG, 3), (WRONG, 3), (WRONG, 3)) == [0, 0, 0]
    host.can = True
    assert looks((WRONG, 3)) == [1]


@pytest.mark.parametrize("why", [why for why in Why if why is not WRONG])
def test_nothing_else_is_a_reason(host, looks, why):
    assert looks((why, 3), (why, 3)) == [0, 0]
    assert host.built == []

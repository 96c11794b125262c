"""The dead-man of releases: its table, and every verb with a fault before and after each of its effects."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from machine import NEW, OLD, WITHIN_S, Fault, Machine

from tcmicro_agent import guard
from tcmicro_agent.guard import SETTLEMENT, GuardError, Seen, State, Transaction, look, settle

PENDING = Transaction("id", NEW, OLD, 1000, "boot-1")


# --- the table


def test_every_state_has_an_answer_to_everything_seen():
    assert {state: set(row) for state, row in SETTLEMENT.items()} == dict.fromkeys(State, set(Seen))


@pytest.mark.parametrize("seen", list(Seen))
@pytest.mark.parametrize("state", [State.REVERTING, State.REVERTED])
def test_what_is_taken_back_is_never_confirmed(state, seen):
    assert settle(replace(PENDING, state=state), seen).state is state


@pytest.mark.parametrize("seen", [seen for seen in Seen if seen is not Seen.WAITING])
def test_cause_is_kept(seen):
    assert settle(PENDING, seen).cause == seen.value


@pytest.mark.parametrize(
    ("now_ms", "boot", "seen"),
    [
        (999, "boot-1", Seen.WAITING),
        (1000, "boot-1", Seen.OVERDUE),
        (0, "boot-2", Seen.REBOOTED),
    ],
)
def test_look(now_ms, boot, seen):
    assert look(PENDING, now_ms, boot) is seen


def test_round_trip_and_damage():
    document = PENDING.to_document()
    assert guard.parse(json.dumps(document).encode()) == PENDING
    for damage in ({"state": "maybe"}, {"deadline_ms": "1"}, {"id": ""}, {"more": 1}):
        with pytest.raises(ValueError, match="maybe|field|argument"):
            guard.parse(json.dumps({**document, **damage}).encode())


# --- everything that can go wrong, at every effect


def armed(machine: Machine) -> None:
    machine.do(machine.switch)
    assert machine.stands_on() == NEW


def overdue(machine: Machine) -> None:
    armed(machine)
    machine.sleep(WITHIN_S)


def failing(machine: Machine) -> None:
    armed(machine)
    machine.failing = True


def nothing(machine: Machine) -> None:
    """As it stands at first."""


def confirm(machine: Machine) -> None:
    found = machine.read()
    assert found is not None
    machine.guard.confirm(found.id, {"pid": 7})


Act = Callable[[Machine], object]
SCENES: dict[str, tuple[Act, Act]] = {  # what was before, what runs into the fault
    "switch": (nothing, Machine.switch),
    "confirm": (armed, confirm),
    "tick": (overdue, lambda machine: machine.guard.tick()),
    "late confirm": (overdue, confirm),
    "failed": (failing, lambda machine: machine.guard.failed()),
    "revert": (armed, lambda machine: machine.guard.revert()),
}


def effects(before: Act, act: Act | None) -> list[str]:
    """What happens without a fault."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        before(machine)
        if act:
            machine.do(lambda: act(machine))
        else:
            machine.fault, machine.effects, machine.boots = None, [], 2
            machine.guard.boot()
        return machine.effects


def table(scenes: dict[str, tuple[Act, Act | None]]) -> list[object]:
    return list(_rows(scenes))


def _rows(scenes: dict[str, tuple[Act, Act | None]]) -> Iterator[object]:
    for name, (before, act) in scenes.items():
        for step, effect in enumerate(effects(before, act)):
            for kind in ("error", "kill", "reboot"):
                for after in (False, True):
                    fault = Fault(step, kind, after)
                    yield pytest.param(name, fault, id=f"{name}: {fault}, {effect}")


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(("scene", "fault"), table(SCENES))
def test_host_left_alone_ends_on_a_release_it_may_run(machine, scene, fault):
    before, act = SCENES[scene]
    before(machine)
    machine.do(lambda: act(machine), fault)
    recorded = machine.state()
    machine.left_alone()
    if scene == "confirm" and recorded is State.CONFIRMED:
        assert machine.stands_on() == NEW
    else:
        assert machine.stands_on() == OLD
        assert machine.state() in (State.REVERTED, None)
    assert not machine.ticking
    machine.reboot()
    machine.left_alone()
    assert machine.stands_on() == (NEW if recorded is State.CONFIRMED else OLD)


@pytest.mark.parametrize(("scene", "fault"), table(SCENES))
def test_second_try_ends_on_the_new_release(machine, scene, fault):
    before, act = SCENES[scene]
    before(machine)
    machine.do(lambda: act(machine), fault)
    machine.left_alone()
    if machine.linked("current") != NEW:
        machine.switch()
    confirm(machine)
    machine.left_alone()
    assert machine.stands_on() == NEW
    assert machine.state() is State.CONFIRMED


@pytest.mark.parametrize(("scene", "fault"), table({"boot": (armed, None)}))
def test_boot_that_is_cut_is_finished_later(machine, scene, fault):
    armed(machine)
    machine.reboot(fault)
    machine.left_alone()
    assert machine.stands_on() == OLD
    assert machine.state() is State.REVERTED


@pytest.mark.parametrize(
    ("scene", "fault"), table({name: SCENES[name] for name in ("failed", "revert")})
)
def test_what_began_to_be_taken_back_is_not_confirmed(machine, scene, fault):
    before, act = SCENES[scene]
    before(machine)
    machine.do(lambda: act(machine), fault)
    begun = fault.step > 0 or fault.after
    machine.do(lambda: confirm(machine))
    machine.left_alone()
    taken_back = begun or fault.kind == "reboot"
    assert machine.stands_on() == (OLD if taken_back else NEW)


@pytest.mark.parametrize("scene", ["tick", "late confirm", "failed", "revert"])
def test_late_confirm_is_told_that_the_release_was_taken_back(machine, scene):
    before, act = SCENES[scene]
    before(machine)
    machine.do(lambda: act(machine))
    with pytest.raises(GuardError, match="was taken back") as late:
        confirm(machine)
    assert late.value.code == 8
    assert machine.stands_on() == OLD


# --- the rest


def test_armed_before_anything_moves():
    done = effects(nothing, Machine.switch)
    assert done[:2] == ["start tcmicro-guard.timer", "save pending"]


def test_unit_that_systemd_knows_is_that_of_the_release(machine):
    overdue(machine)
    assert machine.loaded == f"unit of {NEW}"
    machine.do(machine.guard.tick)
    assert machine.loaded == f"unit of {OLD}"


def test_third_release_waits_for_the_second(machine):
    armed(machine)
    with pytest.raises(GuardError, match="0.1.1 waits to be confirmed for 60 s more") as refusal:
        machine.guard.switch("0.1.2", 60)
    assert refusal.value.code == 3


def test_release_that_is_not_there_is_refused_before_anything_moves(machine):
    with pytest.raises(GuardError, match="'0.9.9' is not there"):
        machine.guard.switch("0.9.9", 60)
    assert (machine.effects, machine.read()) == ([], None)


def test_earlier_release_that_is_gone_is_not_gone_back_to(machine):
    overdue(machine)
    (machine.home / "releases" / OLD / "bin/tc-micro").unlink()
    with pytest.raises(GuardError, match="0.1.0 is not there to go back to"):
        machine.guard.tick()
    assert machine.stands_on() == NEW


def test_confirmed_release_that_fails_is_started_again(machine):
    armed(machine)
    confirm(machine)
    machine.failing, machine.running = True, None
    machine.do(machine.guard.failed)
    assert machine.stands_on() == NEW


def test_service_that_was_stopped_meanwhile_stays_stopped(machine):
    machine.running = None
    machine.do(machine.guard.failed)
    assert machine.running is None


def test_confirmed_release_can_be_taken_back_when_asked(machine):
    armed(machine)
    confirm(machine)
    machine.do(machine.guard.revert)
    assert machine.stands_on() == OLD
    assert machine.read().cause == Seen.ASKED.value


def test_nothing_is_taken_back_that_somebody_replaced(machine):
    armed(machine)
    confirm(machine)
    machine.point("current", "0.2.0")
    with pytest.raises(GuardError, match="that led to this"):
        machine.guard.revert()


def test_link_that_is_lost_is_found_again_at_boot(machine):
    armed(machine)
    confirm(machine)
    (machine.home / "current").unlink()
    machine.reboot()
    assert machine.stands_on() == NEW


def test_host_without_a_record_boots_as_it_is(machine):
    machine.reboot()
    assert machine.stands_on() == OLD
    assert machine.read() is None


def test_evidence_is_kept(machine):
    armed(machine)
    confirm(machine)
    assert machine.read().evidence == {"pid": 7}


def test_verbs_print_one_document(machine):
    done = guard.act(["switch", NEW, "--within", "60", "--json"], machine.guard, machine)
    found = machine.read()
    assert done["kind"] == "ReleaseTransaction"
    assert done["transaction"]["id"] == found.id
    again = guard.act(["confirm", found.id, "--evidence", '{"pid": 1}'], machine.guard, machine)
    assert again["transaction"]["state"] == "confirmed"
    assert guard.act(["show"], machine.guard, machine)["transaction"]["evidence"] == {"pid": 1}


@pytest.mark.parametrize("within", ["4", "soon", "90000"])
def test_impossible_deadline_is_refused(machine, within, capsys):
    with pytest.raises(SystemExit):
        guard.act(["switch", NEW, "--within", within], machine.guard, machine)
    assert "from 5 to 86400" in capsys.readouterr().err

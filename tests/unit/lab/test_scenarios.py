"""Molecule's scenarios: what they name is there, what they make is removed, and `make` runs all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = sorted(path.parent for path in (ROOT / "molecule").glob("*/molecule.yml"))
STEPS = {"staged", "armed", "flipped", "confirmed", "committed"}
RELEASE = "switched"


@pytest.fixture(params=SCENARIOS, ids=lambda folder: folder.name)
def scenario(request):
    """A scenario's folder and what its file says."""
    return request.param, yaml.safe_load((request.param / "molecule.yml").read_text())


def test_every_playbook_that_is_named_is_there(scenario):
    folder, said = scenario
    sequence = said["scenario"]["test_sequence"]
    named = [word for step in sequence for word in step.split()[1:]]
    named += said["ansible"]["playbooks"].values()
    assert not [name for name in named if not (folder / name).is_file()]
    # of what is not listed below `playbooks` Molecule leaves the step out and says that all is well
    needed = {step.split()[0] for step in sequence} - {"idempotence", "verify"}
    assert needed <= set(said["ansible"]["playbooks"])


def test_every_scenario_begins_and_ends_with_nothing_and_looks_before(scenario):
    sequence = scenario[1]["scenario"]["test_sequence"]
    assert (sequence[0], sequence[-1]) == ("destroy", "destroy")
    assert "verify" in sequence
    assert ("idempotence" in sequence) is ("converge" in sequence)


def test_every_scenario_is_run_by_make():
    text = (ROOT / "Makefile").read_text()
    recipes = re.findall(r"molecule test.*", text)
    unnamed = [folder.name for folder in SCENARIOS if folder.name != "default"]
    assert not [name for name in unnamed if not re.search(rf"\b{name}\b", " ".join(recipes))]


@pytest.mark.parametrize("end", ["reboot", "power"])
def test_every_step_of_a_change_is_cut_by_a_boot_and_by_a_loss_of_power(end):
    files = sorted((ROOT / "molecule/vm").glob(f"{end}_[0-9].yml"))
    plays = [play for path in files for play in yaml.safe_load(path.read_text())]
    taken = [step for play in plays for step in play.get("vars", {}).get("steps", {}).values()]
    assert set(taken) == {*STEPS, RELEASE}


def test_a_policy_that_was_committed_is_not_staged_once_more():
    """It rules already: the step after it on the same host would have nothing to stage."""
    order = re.findall(
        r"side_effect ((?:reboot|power)_\d\.yml)", (ROOT / "molecule/vm/molecule.yml").read_text()
    )
    assert len(order) == 4
    done: set[str] = set()
    for name in order:
        (steps,) = [
            play["vars"]["steps"]
            for play in yaml.safe_load((ROOT / "molecule/vm" / name).read_text())
            if "steps" in play.get("vars", {})
        ]
        assert not done & {host for host, step in steps.items() if step in STEPS}
        done |= {host for host, step in steps.items() if step == "committed"}

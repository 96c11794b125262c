"""The join: wanted lab → plan → acts made or removed → report. The modules call this and nothing else."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from . import preflight, record
from .boot import boot
from .cgroup import Cgroups
from .disk import Disks
from .files import Files, Keys
from .image import Images
from .limit import Limit
from .machine import Machines
from .model import Act, Kind, Lab, LabError, Wanted
from .mounts import Bpffs, Overlay
from .network import Directory, Network
from .plan import hosts, plan, refusal, tree_only
from .qemu import Accelerator, VirtualMachines
from .tree import Tree

LOCK_WAIT = 60.0
BOOTED = (Kind.MACHINE, Kind.VM)


class Effect(Protocol):
    def exists(self, act: Act) -> bool: ...
    def make(self, act: Act) -> None: ...
    def remove(self, act: Act) -> None: ...


class SystemClock:
    now = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


def effects(lab: Lab, wanted: Wanted | None = None) -> dict[Kind, Any]:
    """What answers for each kind of act."""
    members, cgroups = hosts(lab.hosts), Cgroups(lab.hosts)
    virtual = VirtualMachines(lab, members, cgroups)
    return {
        Kind.CGROUP: cgroups,
        Kind.LIMIT: Limit(lab.hosts),
        Kind.TREE: Tree(lab, wanted, cgroups),
        Kind.DIRECTORY: Directory(),
        Kind.NETWORK: Network(),
        Kind.KEYS: Keys(members),
        Kind.FILE: Files(lab, members),
        Kind.OVERLAY: Overlay(lab, members),
        Kind.BPFFS: Bpffs(),
        Kind.MACHINE: Machines(lab, members, cgroups),
        Kind.IMAGE: Images(lab, wanted, cgroups),
        Kind.DISK: Disks(lab, members),
        Kind.ACCELERATOR: Accelerator(virtual, SystemClock()),
        Kind.VM: virtual,
    }


def check_machine(wanted: Wanted) -> None:
    """Names everything that this machine lacks."""
    facts, machines = preflight.gather(wanted.directory), wanted.hosts if wanted.images else 0
    if faults := preflight.missing(facts, machines):
        raise LabError("the lab cannot be brought up here:\n- " + "\n- ".join(faults))


def wanted_lab(wanted: Wanted) -> Lab:
    """Plans and refuses; changes nothing."""
    lab = plan(wanted)
    if reason := refusal(lab, record.read(wanted.directory)):
        raise LabError(reason)
    return lab


def to_make(lab: Lab, acts: Sequence[Act], table: dict[Kind, Any]) -> list[Act]:
    """Which acts a present would carry out. Keys decide texts, so without keys all files are to be made."""
    keyless = not table[Kind.KEYS].exists(next(act for act in lab.acts if act.kind is Kind.KEYS))
    return [
        act
        for act in acts
        if (keyless and act.kind is Kind.FILE) or not table[act.kind].exists(act)
    ]


def build(wanted: Wanted, *, check: bool) -> list[Act]:
    """Makes sure the root tree is there."""
    return _bring_up(wanted, tree_only(plan(wanted)), at_once=1, limit=0, check=check)


def present(wanted: Wanted, *, at_once: int, limit: float, check: bool) -> list[Act]:
    """Makes what is missing of the lab, all of it or what a cut attempt or a dead host left out."""
    return _bring_up(wanted, plan(wanted).acts, at_once=at_once, limit=limit, check=check)


def _bring_up(
    wanted: Wanted, acts: Sequence[Act], *, at_once: int, limit: float, check: bool
) -> list[Act]:
    check_machine(wanted)
    if check:
        lab = wanted_lab(wanted)
        return to_make(lab, acts, effects(lab, wanted))
    with record.lock(wanted.directory, LOCK_WAIT):
        lab = wanted_lab(wanted)
        table = effects(lab, wanted)
        todo = to_make(lab, acts, table)
        if todo:
            record.write(lab)
        made: list[Act] = []
        for kind, stage in itertools.groupby(acts, key=lambda act: act.kind):
            if kind in BOOTED:
                made += boot(table[kind], list(stage), at_once, limit, SystemClock())
            else:
                made += [_make(table[act.kind], act) for act in stage if act in todo]
        return made


def _make(effect: Effect, act: Act) -> Act:
    effect.make(act)
    return act


def absent(directory: Path, *, check: bool) -> list[Act]:
    """Removes everything in the record, the last made first, and goes on past failures to report them all."""
    if record.read(directory) is None:
        return []
    if os.geteuid() != 0:
        raise LabError(preflight.need_root(os.geteuid()))
    with record.lock(directory, LOCK_WAIT):
        lab = record.read(directory)
        if lab is None or check:
            return list(reversed(lab.acts)) if lab else []
        table = effects(lab)
        table[Kind.CGROUP].kill(lab.name)  # nothing of the lab runs while it is taken apart
        failures = [fault for act in reversed(lab.acts) if (fault := _remove(table[act.kind], act))]
        if failures:
            raise LabError(
                f"{directory}: not all of the lab could be removed; the record is kept, remove the "
                "cause and run lab_state=absent again:\n- " + "\n- ".join(failures)
            )
        record.remove(directory)
        return list(reversed(lab.acts))


def off(directory: Path, *, check: bool) -> list[Act]:
    """Ends every machine that runs, as if its power was cut; `present` switches them on again."""
    lab = record.read(directory)
    if lab is None:
        return []
    with record.lock(directory, LOCK_WAIT):
        table = effects(lab)
        running = [act for act in lab.acts if act.kind in BOOTED and table[act.kind].exists(act)]
        for act in () if check else running:
            table[act.kind].remove(act)
        return running


def _remove(effect: Effect, act: Act) -> str:
    try:
        effect.remove(act)
    except (LabError, OSError) as fault:
        return f"{act}: {fault}"
    return ""


def status(directory: Path) -> dict[str, Any]:
    """What is there, as one document; state is none, partial (some host is not running) or up."""
    lab = record.read(directory)
    if lab is None:
        return {"state": "none", "name": None, "directory": str(directory), "hosts": []}
    kind = Kind.VM if lab.media else Kind.MACHINE
    machines = effects(lab)[kind]
    rows = []
    for host in hosts(lab.hosts):
        seen = machines.state(Act(kind, host.name))
        rows.append({**dataclasses.asdict(host), "state": seen.state, "uptime": seen.uptime})
    up = all(row["state"] == "running" for row in rows)
    return {
        "state": "up" if up else "partial",
        "name": lab.name,
        "directory": str(directory),
        "hosts": rows,
    }

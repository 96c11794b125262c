"""From what is wanted and what is recorded to an ordered list of acts. Pure: reads and changes nothing."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from .images import files_of
from .model import Act, Host, Kind, Lab, LabError, Medium, Wanted, lab_name

GROUPS = ("web", "db", "client")
TIERS = {"web": "frontend", "db": "backend", "client": "client"}
PLACES = (("north", "north-1"), ("south", "south-1"), ("north", "north-2"), ("south", "south-2"))
CONTROLLER_V4, CONTROLLER_V6 = "10.77.0.1", "fd77::1"
PREFIX_V4, PREFIX_V6 = 16, 64
MOST_HOSTS = 250
RECIPE = 2  # raise it when tree.py finishes a tree differently: cached trees are then built anew


def hosts(count: int) -> tuple[Host, ...]:
    """The first `count` hosts: web1 db1 client1 web2 …, each group spread over two sites of two racks."""
    if not 1 <= count <= MOST_HOSTS:
        raise LabError(f"hosts: {count} is out of range (1-{MOST_HOSTS})")
    return tuple(_host(index) for index in range(count))


def _host(index: int) -> Host:
    block, number = index % len(GROUPS) + 1, index // len(GROUPS) + 1
    group = GROUPS[block - 1]
    site, rack = PLACES[(number - 1) % len(PLACES)]
    return Host(
        name=f"{group}{number}",
        group=group,
        v4=f"10.77.{block}.{number}",
        v6=f"fd77::{block}:{number}",  # the decimal digits of v4, read as they are written
        labels={"tier": TIERS[group], "env": "lab"},
        site=site,
        rack=rack,
        ha_group=f"db-{(number + 1) // 2}" if group == "db" else "",
    )


def plan(wanted: Wanted) -> Lab:
    """The whole lab as acts, in order; every act is idempotent, so a plan cut anywhere is simply made again."""
    directory, name = wanted.directory, lab_name(wanted.directory)
    members = hosts(wanted.hosts)
    media = tuple(_media(wanted, members))
    trees = _trees(wanted, media)
    acts = [
        Act(Kind.CGROUP, name),
        Act(Kind.CGROUP, f"{name}/build"),
        *trees,
        Act(Kind.DIRECTORY, f"/run/{name}"),
        Act(Kind.LIMIT, str(directory / "inotify")),
        Act(Kind.NETWORK, name),
        Act(Kind.KEYS, str(directory / "keys")),
        Act(Kind.FILE, str(directory / "known_hosts")),
        Act(Kind.FILE, str(directory / "ssh_config")),
    ]
    for host in members:
        home = directory / "hosts" / host.name
        acts += [Act(Kind.DISK, str(home))] if media else _container(home)
        acts.append(Act(Kind.CGROUP, f"{name}/{host.name}"))
    if media:
        acts.append(Act(Kind.ACCELERATOR, str(directory / "accelerator")))
    acts += [Act(Kind.VM if media else Kind.MACHINE, host.name) for host in members]
    acts.append(Act(Kind.FILE, str(wanted.inventory)))
    return Lab(
        directory=directory,
        inventory=wanted.inventory,
        roots=(f"{media[0].directory}/tree",) if media else roots(wanted),
        hosts=wanted.hosts,
        acts=tuple(acts),
        media=media,
    )


def _container(home: Path) -> list[Act]:
    return [Act(Kind.OVERLAY, str(home)), Act(Kind.BPFFS, str(home / "bpf"))]


def _media(wanted: Wanted, members: tuple[Host, ...]) -> Iterator[Medium]:
    """The images of a lab of virtual machines, dealt to its hosts in turn."""
    for host, name in zip(members, itertools.cycle(wanted.images)):
        yield Medium(host.name, name, files_of(name, wanted.packages))


def _trees(wanted: Wanted, media: tuple[Medium, ...]) -> list[Act]:
    """What all hosts are made of, each once."""
    if not media:
        names = dict.fromkeys(roots(wanted))
        return [Act(Kind.TREE, str(wanted.directory / name)) for name in names]
    names = dict.fromkeys(medium.directory for medium in media)
    return [Act(Kind.IMAGE, str(wanted.directory / name)) for name in names]


def roots(wanted: Wanted) -> tuple[str, ...]:
    """Names of the root trees, one for each suite; at least one suite is wanted."""
    if not wanted.suites:
        raise LabError("suites: none is named, at least one is needed, as bookworm")
    return tuple(root_name(suite, wanted.packages) for suite in wanted.suites)


def root_name(suite: str, packages: tuple[str, ...]) -> str:
    """Name of a root tree: the same packages give the same tree, whatever their order."""
    recipe = json.dumps([RECIPE, suite, sorted(set(packages))])
    return "root-" + hashlib.sha256(recipe.encode()).hexdigest()[:10]


def refusal(wanted: Lab, recorded: Lab | None) -> str:
    """Why the wanted lab cannot be brought up beside the recorded one; empty when it can."""
    if recorded is None or recorded == wanted:
        return ""
    if recorded.hosts != wanted.hosts:
        return (
            f"{wanted.directory}: a lab of {recorded.hosts} hosts is up, {wanted.hosts} are wanted: "
            "run `make lab-down` first; nothing was changed"
        )
    return (
        f"{wanted.directory}: a lab of {recorded.hosts} hosts is up that differs from the wanted one "
        f"(root tree {' '.join(recorded.roots)}, wanted {' '.join(wanted.roots)}): "
        "run `make lab-down` first; nothing was changed"
    )


def tree_only(lab: Lab) -> tuple[Act, ...]:
    """The acts up to the root tree: what can be done ahead of booting, and takes the longest."""
    end = next(place for place, act in enumerate(lab.acts) if act.kind is Kind.DIRECTORY)
    return lab.acts[:end]

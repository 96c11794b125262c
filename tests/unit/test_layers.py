"""The rooms of DESIGN.md may import only what its table says: read from the source, nothing is executed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLEET = "ansible_collections.tcmicro.fleet.plugins"
EFFECTS = frozenset({"os", "subprocess", "socket", "time", "random", "logging"})


@dataclass(frozen=True)
class Room:
    """May import its own modules, the standard library and what is named here (by prefix)."""

    imports: tuple[str, ...] = ()
    pure: bool = False


def agent(*rooms: str) -> tuple[str, ...]:
    return tuple(f"tcmicro_agent.{room}" for room in rooms)


BASE = agent("errors", "jsonutil")
TOLD = agent("events", "rates", "messages")
CORE = (
    *BASE,
    *TOLD,
    *agent(
        *("policy", "abi", "tables", "tuning", "sessions", "interfaces"),
        *(
            "config",
            "evidence",
            "listening",
            "plan",
            "transaction",
            "trial",
            "question",
            "local",
            "signing",
            "pointer",
        ),
        *("diagnosis", "documents", "histogram", "redaction"),
    ),
)
EDGE = (
    *CORE,
    *agent("datapath", "store", "verify", "trust", "preflight", "guard", "release", "version"),
    *agent("journal", "mirror", "pull_book"),
    *agent("parcel", "service", "tracing"),
)
JOIN = (
    *EDGE,
    *agent(
        "executor",
        "inspection",
        "probation",
        "reconcile",
        "attachments",
        "staging",
        "local_policy",
        "takeover",
        "upkeep",
        "rebuilding",
        "sweep",
    ),
    *agent("report", "listing", "trial_report", "admission", "contact", "pull"),
    *agent("follower", "decisions", "watch", "explanation", "canaries", "probe"),
    *agent("latency", "recorder"),
    *agent("census", "ending", "placement", "examination", "live", "sysdump"),
)
SHELL = (*JOIN, *agent("apart", "daemon", "metrics", "cli", "workspace", "importers"))
CONTROLLER = (
    *BASE,
    *agent("policy", "workspace", "signing", "pointer"),
    "ansible",
    f"{FLEET}.plugin_utils",
)

PURE_OF_JOURNAL = (
    "chain",
    "holds",
    "observation",
    "opening",
    "reconcile",
    "rounds",
    "schema",
    "states",
)

# The longest prefix of a module's name is its room.
ROOMS = {
    "tcmicro_agent": Room(pure=True),
    "tcmicro_agent.version": Room(pure=True),
    "tcmicro_agent.errors": Room(pure=True),
    "tcmicro_agent.jsonutil": Room(BASE, pure=True),
    "tcmicro_agent.policy": Room(BASE, pure=True),
    "tcmicro_agent.policy.source": Room((*BASE, *agent("policy"), "yaml"), pure=True),
    "tcmicro_agent.workspace": Room(
        (*BASE, *agent("policy"), "ansible", f"{FLEET}.plugin_utils.journal")
    ),
    "tcmicro_agent.policy.layout": Room((*BASE, *agent("policy"), "yaml"), pure=True),
    "tcmicro_agent.importers": Room((*BASE, *agent("policy")), pure=True),
    "tcmicro_agent.abi": Room((*BASE, *agent("policy")), pure=True),
    "tcmicro_agent.tables": Room((*BASE, *agent("policy", "abi")), pure=True),
    "tcmicro_agent.events": Room((*BASE, *agent("abi")), pure=True),
    "tcmicro_agent.rates": Room((*BASE, *agent("abi", "messages")), pure=True),
    "tcmicro_agent.messages": Room(pure=True),
    "tcmicro_agent.journal": Room(agent("messages")),
    "tcmicro_agent.tuning": Room((*BASE, *agent("abi", "events")), pure=True),
    "tcmicro_agent.sessions": Room((*BASE, *agent("abi")), pure=True),
    "tcmicro_agent.interfaces": Room(pure=True),
    "tcmicro_agent.config": Room(
        (*BASE, *agent("policy", "abi", "tables", "tuning", "interfaces", "listening")), pure=True
    ),
    "tcmicro_agent.listening": Room((*BASE, *agent("policy")), pure=True),
    "tcmicro_agent.canaries": Room((*BASE, *agent("policy", "config", "question")), pure=True),
    "tcmicro_agent.probe": Room(JOIN),
    "tcmicro_agent.metrics.catalogue": Room(("prometheus_client",), pure=True),
    "tcmicro_agent.metrics.series": Room(
        ("prometheus_client", *agent("metrics.catalogue")), pure=True
    ),
    "tcmicro_agent.local": Room((*BASE, *agent("policy")), pure=True),
    "tcmicro_agent.question": Room((*BASE, *agent("policy", "config")), pure=True),
    "tcmicro_agent.evidence": Room((*BASE, *agent("policy", "config", "question")), pure=True),
    "tcmicro_agent.plan": Room(CORE, pure=True),
    "tcmicro_agent.transaction": Room(CORE, pure=True),
    "tcmicro_agent.trial": Room((*BASE, *agent("abi")), pure=True),
    "tcmicro_agent.signing": Room(BASE, pure=True),
    "tcmicro_agent.verify": Room((*BASE, *agent("signing"))),
    "tcmicro_agent.trust": Room((*BASE, *agent("signing", "verify", "store"))),
    "tcmicro_agent.admission": Room(EDGE),
    "tcmicro_agent.pointer": Room((*BASE, *agent("signing")), pure=True),
    "tcmicro_agent.mirror": Room((*BASE, *agent("policy", "version"))),
    "tcmicro_agent.pull_book": Room((*BASE, *agent("mirror", "pointer", "signing", "store"))),
    "tcmicro_agent.contact": Room(JOIN),
    "tcmicro_agent.pull": Room(JOIN),
    "tcmicro_agent.datapath": Room(
        (
            *BASE,
            *TOLD,
            *agent("policy", "abi", "tables", "tuning", "sessions", "interfaces", "histogram"),
            "pyroute2",
        )
    ),
    "tcmicro_agent.apart": Room(),
    "tcmicro_agent.store": Room(
        (*BASE, *agent("policy", "tables", "config", "transaction", "trial", "local"))
    ),
    "tcmicro_agent.preflight": Room(),
    "tcmicro_agent.guard": Room(),
    "tcmicro_agent.release": Room(),
    "tcmicro_agent.documents": Room(pure=True),
    "tcmicro_agent.histogram": Room(pure=True),
    "tcmicro_agent.redaction": Room(pure=True),
    "tcmicro_agent.diagnosis": Room(pure=True),
    "tcmicro_agent.parcel": Room(),
    "tcmicro_agent.service": Room(),
    "tcmicro_agent.tracing": Room((*BASE, "bcc")),
    "tcmicro_agent.executor": Room(EDGE),
    "tcmicro_agent.inspection": Room((*EDGE, *agent("attachments"))),
    "tcmicro_agent.reconcile": Room((*EDGE, *agent("executor", "inspection"))),
    "tcmicro_agent.probation": Room(JOIN),
    "tcmicro_agent.attachments": Room(EDGE),
    "tcmicro_agent.staging": Room(JOIN),
    "tcmicro_agent.local_policy": Room(JOIN),
    "tcmicro_agent.takeover": Room(JOIN),
    "tcmicro_agent.upkeep": Room(JOIN),
    "tcmicro_agent.rebuilding": Room(JOIN),
    "tcmicro_agent.trial_report": Room(JOIN),
    "tcmicro_agent.sweep": Room(JOIN),
    "tcmicro_agent.report": Room(JOIN),
    "tcmicro_agent.listing": Room(JOIN),
    "tcmicro_agent.follower": Room(JOIN),
    "tcmicro_agent.decisions": Room(JOIN),
    "tcmicro_agent.watch": Room(JOIN),
    "tcmicro_agent.explanation": Room(JOIN),
    "tcmicro_agent.census": Room(JOIN),
    "tcmicro_agent.ending": Room(JOIN),
    "tcmicro_agent.placement": Room(JOIN),
    "tcmicro_agent.examination": Room(JOIN),
    "tcmicro_agent.live": Room(JOIN),
    "tcmicro_agent.sysdump": Room(JOIN),
    "tcmicro_agent.latency": Room(JOIN),
    "tcmicro_agent.recorder": Room(JOIN),
    "tcmicro_agent.daemon": Room(SHELL),
    "tcmicro_agent.metrics": Room((*SHELL, "prometheus_client")),
    "tcmicro_agent.cli": Room(SHELL),
    FLEET: Room(),
    f"{FLEET}.modules": Room(("ansible.module_utils", f"{FLEET}.module_utils")),
    f"{FLEET}.module_utils": Room(("ansible.module_utils",)),
    f"{FLEET}.doc_fragments": Room(),
    f"{FLEET}.plugin_utils": Room((*BASE, *agent("policy")), pure=True),
    f"{FLEET}.plugin_utils.prober": Room(),
    f"{FLEET}.plugin_utils.judge": Room(
        (*BASE, *agent("policy"), f"{FLEET}.plugin_utils", "numpy", "scipy"), pure=True
    ),
    f"{FLEET}.plugin_utils.judge.gate_file": Room((*agent("errors"), f"{FLEET}.plugin_utils")),
    f"{FLEET}.plugin_utils.judge.prometheus": Room((f"{FLEET}.plugin_utils",)),
    f"{FLEET}.plugin_utils.key_files": Room(agent("signing"), pure=True),
    f"{FLEET}.plugin_utils.signatures": Room((*BASE, *agent("signing"), "cryptography"), pure=True),
    f"{FLEET}.plugin_utils.pointers": Room(
        (*BASE, *agent("signing", "pointer"), f"{FLEET}.plugin_utils"), pure=True
    ),
    f"{FLEET}.plugin_utils.pulls": Room((*agent("pointer"), f"{FLEET}.plugin_utils"), pure=True),
    f"{FLEET}.plugin_utils.drill": Room((f"{FLEET}.plugin_utils",), pure=True),
    f"{FLEET}.plugin_utils.drill.running": Room(),
    f"{FLEET}.plugin_utils.drill.preparing": Room((f"{FLEET}.plugin_utils", *agent("signing"))),
    f"{FLEET}.plugin_utils.journal": Room((f"{FLEET}.plugin_utils",)),
    f"{FLEET}.plugin_utils.notify": Room(),
    f"{FLEET}.plugin_utils.vault": Room(),
    f"{FLEET}.plugin_utils.whole_file": Room(),
    f"{FLEET}.plugin_utils.once": Room(("ansible",)),
    **dict.fromkeys(
        (f"{FLEET}.plugin_utils.journal.{name}" for name in PURE_OF_JOURNAL),
        Room((f"{FLEET}.plugin_utils",), pure=True),
    ),
    f"{FLEET}.action": Room(CONTROLLER),
    f"{FLEET}.filter": Room(CONTROLLER),
    f"{FLEET}.inventory": Room((*BASE, "ansible", f"{FLEET}.plugin_utils")),
    f"{FLEET}.callback": Room(("ansible", f"{FLEET}.plugin_utils")),
}


def room_of(module: str) -> str | None:
    """The room a module stands in; only a package itself stands in its own."""
    owners = [name for name in ROOMS if module == name or module.startswith(f"{name}.")]
    owner = max(owners, key=len, default=None)
    return None if owner in ("tcmicro_agent", FLEET) and module != owner else owner


def imported(source: str, module: str, *, package: bool = False) -> Iterator[str]:
    """Dotted names that a module imports, wherever in the file; relative ones made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            climb = node.level - 1 if package else node.level
            base = module.split(".")[: -climb or None] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def allowed(name: str, own: str, room: Room) -> bool:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return not (room.pure and top in EFFECTS)
    mine = own if own != "tcmicro_agent" else "tcmicro_agent.version"
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in (mine, *room.imports))


def faults(source: str, module: str, *, package: bool = False) -> list[str]:
    """What a module imports against the rules, one line each."""
    own = room_of(module)
    if own is None:
        return [f"{module}: stands in no room of DESIGN.md"]
    names = imported(source, module, package=package)
    return [f"{module}: {own} may not import {n}" for n in names if not allowed(n, own, ROOMS[own])]


def modules() -> Iterator[tuple[str, Path]]:
    for top, base in (("tcmicro_agent", ROOT), ("ansible_collections", ROOT / "collections")):
        for path in sorted((base / top).rglob("*.py")):
            name = ".".join(path.relative_to(base).with_suffix("").parts)
            if top == "tcmicro_agent" or name.startswith(f"{FLEET}."):
                yield name.removesuffix(".__init__"), path


MODULES = dict(modules())


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_what_its_room_may(module):
    path = MODULES[module]
    if path.name == "__init__.py" and module not in ROOMS and not path.read_text().strip():
        return  # an empty package file on the way to a room
    assert faults(path.read_text(), module, package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source", "wanted"),
    [
        ("tcmicro_agent.policy.compile", "import os.path", "os.path"),
        ("tcmicro_agent.policy.compile", "from tcmicro_agent import abi", "tcmicro_agent.abi"),
        ("tcmicro_agent.policy.compile", "from ..store import Store", "tcmicro_agent.store.Store"),
        ("tcmicro_agent.plan", "def f():\n    import time", "time"),
        ("tcmicro_agent.preflight", "import tcmicro_agent.errors", "tcmicro_agent.errors"),
        ("tcmicro_agent.store", "import prometheus_client", "prometheus_client"),
        (f"{FLEET}.modules.agent_info", "import tcmicro_agent.policy", "tcmicro_agent.policy"),
        (f"{FLEET}.plugin_utils.planner.stages", "import random", "random"),
        ("tcmicro_agent.helpers", "", "no room"),
    ],
)
def test_checker_catches(module, source, wanted):
    found = faults(source, module)
    assert len(found) == 1
    assert wanted in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tcmicro_agent.policy.compile", "from .model import Rule\nimport ipaddress"),
        ("tcmicro_agent.abi", "from tcmicro_agent.policy import model"),
        ("tcmicro_agent.datapath.hooks", "from tcmicro_agent.tables import Tables\nimport os"),
        (f"{FLEET}.filter.bundles", "from tcmicro_agent.policy.resolve import resolve"),
    ],
)
def test_checker_lets_pass(module, source):
    assert faults(source, module) == []

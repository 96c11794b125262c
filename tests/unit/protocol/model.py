"""Everything that can happen to a host: commands of controllers, the daemon, time, crashes, loss of power, packets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tcmicro_agent.abi import Word
from tcmicro_agent.store import Applied

from . import apply, confirm, packets, past, upkeep
from .state import EMPTY, IDLE, Change, Files, Kernel, Past, Process, Reader, Slot, State
from .steps import NEVER, Verb, swap, unlocked

Move = tuple[str, State]


@dataclass(frozen=True)
class Protocol:
    """The verbs, and what the world around them may do."""

    verbs: Mapping[str, Verb] = field(
        default_factory=lambda: {
            "apply": apply.APPLY,
            "apply to confirm": apply.APPLY_TO_CONFIRM,
            "confirm": confirm.CONFIRM,
            "confirm to lease": confirm.CONFIRM_TO_LEASE,
            "renew": confirm.RENEW,
            "commit": confirm.COMMIT_LEASED,
            "revert": confirm.REVERT,
            "keep up": upkeep.UPKEEP,
        }
    )
    clock_jumps: bool = False


REAL = Protocol()


def fresh(*controllers: tuple[Change, ...], crashes: int = 0, cuts: int = 0) -> State:
    """A host that never had a policy; each controller has its plans, and there is a daemon."""
    processes = [Process(f"controller {n}", plans) for n, plans in enumerate(controllers, 1)]
    return State(
        kernel=Kernel(),
        files=Files(),
        disk=Files(),
        processes=(*processes, Process("daemon")),
        past=Past(due=("",)),
        crashes=crashes,
        cuts=cuts,
    )


def ruled(
    *controllers: tuple[Change, ...],
    crashes: int = 0,
    cuts: int = 0,
    packets: bool = False,
    leases: int = -1,
) -> State:
    """The same with bundle A for good, as generation 1; each controller has so many leases."""
    files = Files(1, Applied("A", 1), None, frozenset("A"))
    host = fresh(*controllers, crashes=crashes, cuts=cuts)
    return replace(
        host,
        processes=tuple(me if me.daemon else replace(me, leases=leases) for me in host.processes),
        kernel=Kernel(True, Word(1, 1, 0), (EMPTY, Slot(1, "A", 1), EMPTY, EMPTY)),
        files=files,
        disk=files,
        past=Past(good=frozenset({1}), chosen=frozenset("A"), due=("A",)),
        reader=Reader() if packets else None,
    )


def moves(protocol: Protocol, state: State) -> Iterator[Move]:
    """Every next state, with what happens on the way to it."""
    for what, after in _events(protocol, state):
        yield what, packets.age(state, past.remember(after))


def _events(protocol: Protocol, state: State) -> Iterator[Move]:
    for number, me in enumerate(state.processes):
        for what, after, mine in _steps(protocol, state, me):
            others = (*state.processes[:number], mine, *state.processes[number + 1 :])
            yield f"{me.name}: {what}", replace(after, processes=others)
    yield from _time(protocol, state)
    yield from _power(state)
    yield from packets.read(state)


def _steps(protocol: Protocol, state: State, me: Process) -> Iterator[tuple[str, State, Process]]:
    begun = [me] if me.verb else _beginnings(me)
    for mine in begun:
        if moved := step(protocol, state, mine):
            what = moved[0] if me.verb else _title(mine)
            yield what, *moved[1:]
    if me.verb and state.crashes:
        crashed = replace(unlocked(state, me), crashes=state.crashes - 1)
        yield "is killed", crashed, replace(me, verb="", step=0, work=IDLE)


def step(protocol: Protocol, state: State, me: Process) -> tuple[str, State, Process] | None:
    """The next step of a process under way; None while it has to wait."""
    table = protocol.verbs[me.verb]
    now = table[me.step]
    moved = now.act(state, me)
    if moved is None:
        return None
    after, mine = moved
    if mine.goto:
        names = [s.name for s in table]
        mine = replace(mine, step=names.index(mine.goto, me.step + 1), goto="")
    return now.name, after, mine


def _beginnings(me: Process) -> Iterator[Process]:
    """The verbs a process may begin with; whoever waits for the lock before anything else has not begun."""
    if me.daemon:
        yield replace(me, verb="keep up")
    if me.plans:
        change, *rest = me.plans
        verb = "apply to confirm" if change.within else "apply"
        yield replace(me, verb=verb, plans=tuple(rest), work=replace(IDLE, change=change))
    if me.known:
        yield replace(me, verb="confirm")
        yield replace(me, verb="revert")
    if me.known and me.leases >= 0:
        yield replace(me, verb="commit")
    if me.known and me.leases > 0:
        yield replace(me, verb="confirm to lease", leases=me.leases - 1)
        yield replace(me, verb="renew", leases=me.leases - 1)


def _title(me: Process) -> str:
    return f"{me.verb} {me.work.change.bundle if me.work.change else ''}".rstrip()


def _time(protocol: Protocol, state: State) -> Iterator[Move]:
    ahead = [deadline for _, deadline in state.past.armed]
    ahead += [me.work.deadline for me in state.processes] + [state.kernel.word.deadline_ms]
    if any(deadline > state.now for deadline in ahead):
        yield "time passes", replace(state, now=state.now + 1)
    if state.kernel.word.expired(state.clock):
        yield "somebody samples the clock", swap(state, NEVER, NEVER)[1]
    if protocol.clock_jumps and not state.skew:
        yield "the clock jumps back", replace(state, skew=-1)


def _power(state: State) -> Iterator[Move]:
    if not state.cuts:
        return
    fresh = tuple(replace(me, verb="", step=0, work=IDLE) for me in state.processes)
    dark = replace(state, processes=fresh, files=state.disk, lock="", reader=None)
    yield (
        "the power goes and comes back",
        replace(past.cut(dark), boot=state.boot + 1, cuts=state.cuts - 1),
    )

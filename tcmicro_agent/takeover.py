"""From the datapath that is there to the one of this release, as a list of steps that may be cut after any of them.

Of the same abi it is a swap of programs over the same maps. Of another abi, with maps of other sizes, or where somebody
removed maps that a policy is in, a second datapath is built beside the first: the confirmed policy, then the sessions;
then ours are attached in place of the others, and what passed meanwhile is copied after. Until then the others judge
every packet; a retry begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tcmicro_agent import plan
from tcmicro_agent.datapath import libbpf, predecessors
from tcmicro_agent.datapath.kernel import NEVER, Kernel
from tcmicro_agent.datapath.layouts import LAYOUTS
from tcmicro_agent.datapath.predecessors import Predecessor
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.sessions import to_judge_again
from tcmicro_agent.tables import POLICY_MAPS
from tcmicro_agent.transaction import Transaction

# Which policy rules, and what it says.
RULING = (*POLICY_MAPS, "tcm_control", "tcm_slots", "tcm_trial")


@dataclass(frozen=True)
class Step:
    """One thing to do, and how to say it."""

    text: str
    act: Callable[[], object]


def plan_steps(agent: Agent, load: Step, attach: Step, sizes: Mapping[str, int]) -> list[Step]:
    """`load` puts this release's programs and maps in place, `attach` hooks them; `sizes` are those of its maps.

    Raises RefusedError while what another datapath enforces cannot be built in ours.
    """
    pins, steps = agent.kernel.pins, []
    before = predecessors.find(pins)
    if before:
        _refuse_what_cannot_be_rebuilt(agent, before)
    elif why := _why_anew(agent, sizes):
        before = [predecessors.aside(pins)]
        steps = [Step(f"set the maps aside: {why}", lambda: _set_aside(agent.kernel))]
    if not before:
        return [load, attach]
    carriers = [_Carrier(agent, old) for old in before]
    return [
        *steps,
        load,
        Step("build the confirmed policy", lambda: reinstate(agent)),
        *(Step(f"copy the sessions of {one.old}", one.copy_all) for one in carriers),
        *(Step(f"take over the links of {one.old}", one.take_links) for one in carriers),
        attach,
        *(Step(f"copy what {one.old} saw meanwhile", one.copy_recent) for one in carriers),
        *(Step(f"remove {one.old}", one.remove) for one in carriers),
    ]


def wrong_sizes(kernel: Kernel, sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Maps that are not as large as they should be: how large they are, and should be."""
    pins = {name: kernel.pins / name for name in sizes}
    actual = {name: libbpf.pinned_size(pin) for name, pin in pins.items() if pin.exists()}
    return {name: (size, sizes[name]) for name, size in actual.items() if size != sizes[name]}


def drift(kernel: Kernel, sizes: Mapping[str, int]) -> list[str]:
    """What is left of a takeover, or waits for one."""
    found = [
        f"{old} is still there: restart the agent to take it over"
        for old in predecessors.find(kernel.pins)
    ]
    wrong = wrong_sizes(kernel, sizes)
    if wrong:
        each = ", ".join(f"{name} ({size}, not {want})" for name, (size, want) in wrong.items())
        found.append(f"maps of another size than configured, until the agent restarts: {each}")
    return found


def refuse_while_unfinished(kernel: Kernel) -> None:
    """Another policy would be built where nobody looks yet."""
    before = " and ".join(map(str, predecessors.find(kernel.pins)))
    if before:
        raise RefusedError(
            f"{before} is still there, and the agent has not taken it over",
            hint="see why: journalctl -u tcmicro-agent; and restart the agent",
        )


def _why_anew(agent: Agent, sizes: Mapping[str, int]) -> str:
    """Why these maps are of no use to this release, "" where they are, or have to be."""
    lost = agent.kernel.lost_maps()
    ruling = sorted(lost.intersection(RULING))
    if ruling and len(lost) < len(LAYOUTS) and _bundle_is_kept(agent):
        return f"they lack {', '.join(ruling)}"
    if not ruling and wrong_sizes(agent.kernel, sizes) and _may_be_rebuilt(agent):
        return "they are to have other sizes"
    return ""


def reinstate(agent: Agent) -> None:
    """The confirmed policy under the number it has, in maps that are not in use: what they held is not evidence."""
    with agent.store.lock():
        confirmed = agent.store.books().confirmed
        bundle = agent.store.bundle(confirmed.digest) if confirmed else None
        agent.kernel.transition(NEVER, NEVER)  # latches a deadline that passed
        observed = agent.observe()
        if confirmed is None or bundle is None or observed.pending:
            return
        local = agent.local_rules()
        books, built = agent.build(observed, bundle, local)
        header = replace(built.header, generation=confirmed.generation)
        if observed.live != header:
            numbers = {books.generation: header.generation}
            phases = {
                numbers.get(generation, generation): p for generation, p in books.phases.items()
            }
            agent.store.save_books(replace(books, phases=phases))
            agent.note_local(observed, header.generation, local)
            built = replace(built, header=header)
            agent.execute(plan.plan_policy(observed, bundle, built, None))


class _Carrier:
    """Carries the flows of one datapath over into ours."""

    def __init__(self, agent: Agent, old: Predecessor) -> None:
        self.old = old
        self._kernel = agent.kernel
        self._since = 0

    def copy_all(self) -> None:
        """Fast into empty tables; in others, after a cut, nothing is overwritten that was used since."""
        since = self._kernel.jiffies()
        empty = not any(len(chunk) for chunk in self._kernel.sessions.chunks())
        self._copy(0, careful=not empty)
        self._since = since

    def copy_recent(self) -> None:
        self._copy(self._since, careful=True)

    def take_links(self) -> None:
        self.old.hand_over_links(self._kernel.pins)

    def remove(self) -> None:
        Kernel(self.old.pins).unpin()

    def _copy(self, since: int, *, careful: bool) -> None:
        sessions = self._kernel.sessions
        put = sessions.put_unless_used if careful else sessions.put
        for chunk in self.old.sessions():
            for table, entries in to_judge_again(chunk, since).items():
                put(table, entries)


def _set_aside(kernel: Kernel) -> None:
    kernel.close()
    predecessors.set_aside(kernel.pins)


def _refuse_what_cannot_be_rebuilt(agent: Agent, before: list[Predecessor]) -> None:
    names = " and ".join(map(str, before))
    found, ours = agent.store.transaction(), agent.transaction()
    left = (found.deadline_ms - agent.clock.boot_ms()) / 1000 if found else 0
    elsewhere = ours is not None and not ours.open
    if found and found.open and elsewhere and left > 0 and _same_boot(agent, found):
        raise RefusedError(
            f"{names} enforces generation {found.generation}, which waits to be confirmed for {left:.0f} s more: "
            f"it stays as it is",
            hint="confirm or revert it with the release that applied it, or wait",
        )
    if not _bundle_is_kept(agent):
        raise RefusedError(
            f"{names} enforces a policy whose bundle is not kept here: it stays as it is",
            hint="apply a policy with the release that loaded it",
        )


def _may_be_rebuilt(agent: Agent) -> bool:
    """A policy that waits to be confirmed, or is on trial, is not moved for the sake of larger maps."""
    observed = agent.observe()
    return not observed.word.pending and observed.staged is None and _bundle_is_kept(agent)


def _bundle_is_kept(agent: Agent) -> bool:
    confirmed = agent.store.books().confirmed
    return confirmed is None or agent.store.bundle(confirmed.digest) is not None


def _same_boot(agent: Agent, found: Transaction) -> bool:
    return found.boot_id == agent.clock.boot_id()

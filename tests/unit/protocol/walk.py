"""A model and a real Agent side by side, on fakes that can be cut before any write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from builders import bundle, rule
from fakes import CutError, FakeClock, FakeExaminer, FakeKernel

from tcmicro_agent import plan, probation, upkeep
from tcmicro_agent.abi import Control
from tcmicro_agent.config import Config
from tcmicro_agent.errors import KernelError, TcmicroError
from tcmicro_agent.evidence import Requirement
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.model import Bundle, Mode
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Books, Store, Summary, summary_of
from tcmicro_agent.transaction import Transaction
from tests.unit.protocol import model, past
from tests.unit.protocol.state import IDLE, Change, Past, State
from tests.unit.protocol.steps import unlocked

Event = str
TICK_S = 60
NONE = Requirement.NONE
BUNDLES = {name: bundle(rule(f"p/{name}", f"tcp/{port}")) for port, name in enumerate("ABC", 1)}
NAMES = {digest(value): name for name, value in BUNDLES.items()}
Visible = tuple[object, ...]


class Kernel(FakeKernel):
    """Shows nothing before it is loaded, as one without pins; tells before each write."""

    def __init__(self, clock: FakeClock, about_to_write: Callable[[], None]) -> None:
        super().__init__(clock)
        self._about_to_write = about_to_write

    def _write(self) -> None:
        self._about_to_write()

    def control(self) -> Control:
        if not self.loaded:
            raise KernelError("not loaded")
        return super().control()


class MemoryStore(Store):
    """The files as values."""

    def __init__(self, about_to_write: Callable[[], None]) -> None:
        super().__init__(Path("/nowhere"))
        self._about_to_write = about_to_write
        self._books, self._transaction = Books(), None
        self.kept: dict[str, Bundle] = {}

    def config(self) -> Config:
        return Config(mode=Mode.PROTECT)

    def save_bundle(self, bundle: Bundle, digest: str) -> None:
        self._about_to_write()
        self.kept[digest] = bundle

    def bundle(self, digest: str) -> Bundle | None:
        return self.kept.get(digest)

    def summary(self, digest: str) -> Summary | None:
        return summary_of(self.kept[digest]) if digest in self.kept else None

    def books(self) -> Books:
        return self._books

    def save_books(self, books: Books) -> None:
        self._about_to_write()
        self._books = books

    def transaction(self) -> Transaction | None:
        return self._transaction

    def save_transaction(self, value: Transaction) -> None:
        self._about_to_write()
        self._transaction = value

    @contextmanager
    def lock(self) -> Iterator[None]:
        yield


class Real:
    """The agent on fakes; remembers what could be seen of it after every change."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clock.boot = "1"
        self.start_ms = self.clock.now_ms
        self.kernel = Kernel(self.clock, self._about_to_write)
        self.store = MemoryStore(self._about_to_write)
        self.agent = Agent(self.kernel, self.store, self.clock, FakeExaminer())
        self.token = ("", "")
        self.trail: list[Visible] = []
        self.cut: int | None = None

    def _about_to_write(self) -> None:
        self._look()
        if self.cut is not None and len(self.trail) > self.cut:
            raise CutError

    def _look(self) -> None:
        if not self.trail or self.trail[-1] != self.visible():
            self.trail.append(self.visible())

    def visible(self) -> Visible:
        word, noted = self.kernel.word, self.store.transaction()
        books = self.store.books()
        confirmed = books.confirmed
        return (
            (word.active, word.fallback, self._tick(word.deadline_ms)),
            tuple(
                (s.generation, NAMES[s.digest] if s.generation else "") for s in self.kernel.slots
            ),
            books.generation,
            confirmed and (confirmed.generation, NAMES[confirmed.digest]),
            noted and (noted.generation, noted.state, self._tick(noted.deadline_ms), noted.boot_id),
            frozenset(NAMES[d] for d in self.store.kept),
        )

    def _tick(self, deadline_ms: int) -> int:
        return (deadline_ms - self.start_ms) // (TICK_S * 1000) if deadline_ms else 0

    def plan_of(self, name: str, within: int) -> list[plan.Op]:
        """What the agent would do on this host."""
        seen, value = self.agent.observe(), BUNDLES[name]
        _, built = self.agent.build(seen, value)
        pending = self.agent._arm(seen, built.header, TICK_S, NONE) if within else None
        return plan.plan_policy(seen, value, built, pending)

    def do(self, event: Event, cut: int | None) -> list[Visible]:
        """Carries an event out, up to its `cut`-th change; what could be seen, in order."""
        self.trail, self.cut = [self.visible()], cut
        with suppress(CutError, TcmicroError):
            getattr(self, event.replace(" ", "_"))()
        self._look()
        return self.trail

    def apply(self) -> None:
        self.agent.apply(BUNDLES["C"])

    def apply_to_confirm(self) -> None:
        ticket = self.agent.apply(BUNDLES["B"], confirm_within=TICK_S).transaction
        if ticket:
            self.token = (ticket.id, ticket.token)

    def confirm(self) -> None:
        self.agent.confirm(*self.token)

    def confirm_to_lease(self) -> None:
        self.agent.confirm(*self.token, lease=TICK_S)

    def renew(self) -> None:
        probation.renew(self.agent, *self.token, TICK_S, None)

    def commit(self) -> None:
        probation.commit(self.agent, *self.token, None)

    def revert(self) -> None:
        self.agent.revert()

    def keep_up(self) -> None:
        self.kernel.loaded = True
        upkeep.settle(self.agent)
        self.agent.restore(Mode.PROTECT)

    def time(self) -> None:
        self.clock.pass_seconds(TICK_S)

    def power(self) -> None:
        self.kernel.boot()
        self.kernel.loaded = False
        self.clock.boot = str(int(self.clock.boot) + 1)


class Pair:
    """A host twice, in step."""

    def __init__(self, host: State) -> None:
        self.host = host
        self.real = Real()
        self.whole = True  # nothing was killed yet

    def copy(self) -> Pair:
        return deepcopy(self)

    def walk(self, event: Event, cut: int | None = None) -> int:
        """Carries an event out in both, killed before the change after the `cut`-th; how many changes it made."""
        self.whole = self.whole and cut is None
        mine = self._pass(event) if event in PASSING else self._run(event, cut)
        theirs = self.real.do(event, cut)
        assert mine == theirs, f"{event}, cut {cut}: the model\n{mine}\nthe agent\n{theirs}"
        return len(mine) - 1

    def _pass(self, event: Event) -> list[Visible]:
        before = visible(self.host)
        self.host = PASSING[event](self.host)
        return [before] if before == visible(self.host) else [before, visible(self.host)]

    def _run(self, verb: str, cut: int | None) -> list[Visible]:
        host, trail = self.host, [visible(self.host)]
        number = len(host.processes) - 1 if verb == "keep up" else 0
        me = replace(
            host.processes[number], verb=verb, work=replace(IDLE, change=CHANGES.get(verb))
        )
        while me.verb:
            _, after, mine = model.step(model.REAL, host, me)
            if visible(after) != trail[-1]:
                if len(trail) - 1 == cut:
                    host, me = unlocked(host, me), replace(me, verb="", step=0, work=IDLE)
                    break
                trail.append(visible(after))
            host, me = after, mine
        others = (*host.processes[:number], me, *host.processes[number + 1 :])
        self.host = replace(host, processes=others, past=Past())
        return trail


CHANGES = {"apply": Change("C"), "apply to confirm": Change("B", 1)}
PASSING: dict[Event, Callable[[State], State]] = {
    "time": lambda host: replace(host, now=host.now + 1),
    "power": lambda host: replace(past.cut(host), files=host.disk, boot=host.boot + 1),
}


def visible(host: State) -> Visible:
    word, files = host.kernel.word, host.files
    noted, confirmed = files.transaction, files.confirmed
    return (
        (word.active, word.fallback, word.deadline_ms),
        tuple((slot.generation, slot.bundle) for slot in host.kernel.slots),
        files.generation,
        confirmed and (confirmed.generation, confirmed.digest),
        noted and (noted.generation, noted.state, noted.deadline_ms, noted.boot_id),
        files.bundles,
    )

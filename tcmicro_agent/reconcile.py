"""The only join: read files and kernel, plan, carry it out, report. Safe to cut at any line and to repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tcmicro_agent import abi, plan, release, tables
from tcmicro_agent.abi import SlotHeader, TransitionResult, Word
from tcmicro_agent.datapath import trial as trial_maps
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.datapath.kernel import NEVER, Kernel
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.evidence import LATEST_S, Requirement
from tcmicro_agent.executor import Examiner, Executor, TakenBackError
from tcmicro_agent.inspection import Inspection
from tcmicro_agent.local import NOTHING, LocalRule, Moment, combine
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy import windows
from tcmicro_agent.policy.model import Bundle, Mode
from tcmicro_agent.store import Books, Store
from tcmicro_agent.transaction import State, Transaction, classify, settle


@dataclass(frozen=True)
class Outcome:
    """Result of a policy change. `transaction` is set while it has a deadline."""

    changed: bool
    generation: int
    digest: str
    ops: tuple[str, ...] = ()
    transaction: Transaction | None = None


class Agent:
    """This host: its kernel side and its files."""

    def __init__(
        self,
        kernel: Kernel,
        store: Store,
        clock: Clock | None = None,
        examiner: Examiner | None = None,
    ) -> None:
        self.kernel = kernel
        self.store = store
        self.clock = clock or Clock()
        examiner = examiner or Inspection(kernel, store.config, release.object_path())
        self._executor = Executor(kernel, store, self.clock, examiner)

    # --- observing ---

    def observe(self) -> plan.Observed:
        word, headers = self.kernel.control().word, self.kernel.headers()
        return plan.Observed(
            word, tuple(headers), self.clock.boot_ms(), trial_maps.read_word(self.kernel)
        )

    def transaction(self) -> Transaction | None:
        """The last transaction as the kernel sees it now; writes nothing."""
        found = self.store.transaction()
        if found is None or not found.open:
            return found
        if not self.kernel.loaded or found.boot_id != self.clock.boot_id():
            return found.ended(State.REVERTED)
        seen = self.observe()
        expired = seen.word.expired(seen.now_ms)
        word = classify(
            found, live_generation=seen.armed.generation, pending=seen.pending, expired=expired
        )
        return settle(found, word, seen.word.deadline_ms)

    # --- changing policy ---

    def apply(
        self,
        bundle: Bundle,
        *,
        confirm_within: int = 0,
        dry_run: bool = False,
        evidence: Requirement = Requirement.NONE,
        admit: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Makes a bundle live, for `confirm_within` seconds or (0) for good; `evidence` is what its confirmation has to
        show, and `admit` may refuse it under the lock."""
        with self.store.lock():
            self.settle()
            admit()
            return self.change(
                bundle, confirm_within=confirm_within, dry_run=dry_run, evidence=evidence
            )

    def restore(self, ceiling: Mode) -> Outcome | None:
        """Makes the confirmed bundle live when it ought to be and is not; None when there is nothing to do."""
        if self._missing(ceiling) is None:
            return None  # without the lock, because a frozen agent must not hold it
        with self.store.lock():
            self.settle()
            bundle = self._missing(ceiling)
            outcome = self.change(bundle) if bundle else None
        return outcome if outcome and outcome.changed else None

    def rebuild(self) -> Outcome | None:
        """Builds what rules for good anew, in another slot: what its tables hold is not what its bundle says. None
        where nothing can be built: a change is pending, or the bundle is not kept."""
        with self.store.lock():
            self.settle()
            observed = self.observe()
            bundle = self.store.bundle(observed.live.digest) if observed.live.generation else None
            if bundle is None or observed.word.pending:
                return None
            return self.change(bundle, anew=True)

    def confirm(
        self,
        transaction_id: str,
        token: str,
        *,
        lease: int = 0,
        admit: Callable[[], None] = lambda: None,
        accept: Callable[[Transaction], None] = lambda _: None,
    ) -> Outcome:
        """Keeps the pending change, for good or (`lease`) for so many seconds. `admit` may refuse whoever asks,
        `accept` what they show for it; both under the lock."""
        with self.store.lock():
            admit()
            found = self.open_transaction(transaction_id, token)
            if found.state is State.CONFIRMED or (found.state is State.LEASED and lease):
                return outcome_of(found, changed=False)
            if found.state is State.LEASED:
                raise RefusedError(
                    f"transaction {transaction_id} is confirmed already, under a lease",
                    hint="keep it for good: tc-micro policy commit",
                )
            self.refuse_if_late(found)
            accept(found)
            return self.extend(found, lease)

    def extend(self, found: Transaction, lease: int) -> Outcome:
        """Moves the deadline of an open change to `lease` seconds from now, or (0) ends it: a compare and swap in the
        kernel, so late is late. Under the lock."""
        # Ours until its deadline; the word as it is now may be that of a fallback latched a moment ago.
        word = replace(self.observe().word, deadline_ms=found.deadline_ms)
        deadline_ms = self.clock.boot_ms() + lease * 1000 if lease else 0
        result = self._executor.transition(word, replace(word, deadline_ms=deadline_ms))
        if result is not TransitionResult.SWAPPED:
            self.settle()
            raise _taken_back(found)
        if not lease:
            self._executor.record(found.generation, found.digest)
        after = found.leased(deadline_ms) if lease else found.ended(State.CONFIRMED)
        self.store.save_transaction(after)
        return outcome_of(after, changed=True)

    def refuse_if_late(self, found: Transaction) -> None:
        """Too near the deadline nobody could tell any more how it ends. Past it the kernel says so itself."""
        left = (found.deadline_ms - self.clock.boot_ms()) / 1000
        if 0 < left < LATEST_S:
            raise RefusedError(
                f"transaction {found.id}: {left:.1f} s are left, at least {LATEST_S} are needed",
                hint="the kernel takes it back; apply it again",
            )

    def revert(self, *, admit: Callable[[], None] = lambda: None) -> Outcome:
        """Takes a change back that is not kept for good yet, now."""
        with self.store.lock():
            admit()
            found = self.settle()
            if found is None or not found.open:
                raise RefusedError("no change is waiting to be confirmed")
            word = self.observe().word
            self._executor.transition(word, Word(word.fallback, word.fallback, 0))
            self.store.save_transaction(found.ended(State.REVERTED))
            self.execute(self.tending())
            live = self.observe().live
            return Outcome(changed=True, generation=live.generation, digest=live.digest)

    def settle(self) -> Transaction | None:
        """Writes down how the last transaction ended and what rules for good; latches an expired word; leaves
        nothing half done about the staged slot."""
        before, now = self.store.transaction(), self.transaction()
        if now != before and self.kernel.loaded and self.observe().word.pending:
            self.kernel.transition(NEVER, NEVER)
        if (live := self._unrecorded()) is not None:
            self._executor.record(live.generation, live.digest)
        if now is not None and now != before:
            self.store.save_transaction(now)
        self.execute(self.tending())
        return now

    def unsettled(self) -> bool:
        """Whether `settle` would write anything."""
        return (
            self.transaction() != self.store.transaction()
            or self._unrecorded() is not None
            or bool(self.tending())
        )

    # --- parts ---

    def _unrecorded(self) -> SlotHeader | None:
        """What rules for good and is not in the books: somebody was cut between the two."""
        if not self.kernel.loaded:
            return None
        observed, confirmed = self.observe(), self.store.books().confirmed
        if observed.word.pending or not observed.live.generation:
            return None
        recorded = confirmed and confirmed.generation == observed.live.generation
        return None if recorded else observed.live

    def _missing(self, ceiling: Mode) -> Bundle | None:
        """The confirmed bundle, if after a reboot nothing rules, or it rules in another mode than it may have, or rules
        of it have begun or expired since."""
        observed, confirmed = self.observe(), self.store.books().confirmed
        known = self.store.summary(confirmed.digest) if confirmed else None
        if confirmed is None or known is None or observed.word.pending:
            return None
        mode = tables.MODES[effective_mode(ceiling, known.mode)]
        right = observed.live.generation and observed.live.mode == mode
        if right and self._is_current(known.instants, observed.live):
            return None
        return self.store.bundle(confirmed.digest)

    def _is_current(self, instants: Sequence[int], header: SlotHeader) -> bool:
        """Whether a slot whose rules begin or expire at `instants` holds those that are in force now."""
        if not instants:
            return True
        phase = windows.phase(instants, self.clock.wall_s())
        return self.store.books().phases.get(header.generation) == phase

    def change(
        self,
        bundle: Bundle,
        *,
        confirm_within: int = 0,
        dry_run: bool = False,
        evidence: Requirement = Requirement.NONE,
        anew: bool = False,
    ) -> Outcome:
        """`apply` under the lock, with everything settled; `anew` also where that content rules already."""
        observed = self.observe()
        plan.refuse_if_pending(observed)
        local = self.local_rules()
        books, built = self.build(observed, bundle, local)
        digest = built.header.digest
        current = self.holds_local(observed.live, local) and self._is_current(
            windows.instants(bundle), observed.live
        )
        if plan.is_live(observed, digest, built) and current and not anew:
            return Outcome(changed=False, generation=observed.live.generation, digest=digest)
        pending = None
        if confirm_within:
            pending = self._arm(observed, built.header, confirm_within, evidence)
        ops = plan.plan_policy(observed, bundle, built, pending)
        if not dry_run:
            self.store.save_books(books)
            self.note_local(observed, built.header.generation, local)
            self.execute(ops)
        return Outcome(
            changed=True,
            generation=built.header.generation,
            digest=digest,
            ops=tuple(plan.describe(ops)),
            transaction=pending,
        )

    def build(
        self, observed: plan.Observed, bundle: Bundle, local: tuple[LocalRule, ...] = ()
    ) -> tuple[Books, tables.Tables]:
        """The bundle for a spare slot, or as it is staged, under local rules; with the books that number its rules."""
        combined = combine(bundle, local)
        books = self._next_books(observed, combined)
        return books, self._encode(observed, bundle, combined, books)

    # --- local rules ---

    def moment(self) -> Moment:
        return Moment(int(self.clock.wall_s()), self.clock.boot_ms(), self.clock.boot_id())

    def local_rules(self) -> tuple[LocalRule, ...]:
        """Those that have not expired."""
        return self.store.local().wanted(self.moment())

    def holds_local(self, header: SlotHeader, rules: tuple[LocalRule, ...]) -> bool:
        """Whether the tables of a generation hold these local rules, and no others."""
        return set(self.store.local().in_generation(header.generation)) == set(rules)

    def note_local(
        self, observed: plan.Observed, generation: int, rules: tuple[LocalRule, ...]
    ) -> None:
        """Writes down which local rules a generation is built with, before it is."""
        known = self.store.local()
        if known != NOTHING:
            kept = [header.generation for header in observed.headers]
            self.store.save_local(known.with_built(generation, rules, kept))

    def enforced(self, header: SlotHeader) -> Bundle | None:
        """What the tables of a generation mean: its bundle under its local rules; None where that is not kept."""
        bundle = self.store.bundle(header.digest) if header.generation else None
        return (
            combine(bundle, self.store.local().in_generation(header.generation)) if bundle else None
        )

    # --- numbers and tables ---

    def _next_books(self, observed: plan.Observed, bundle: Bundle) -> Books:
        books = self.store.books()
        latest = max(books.generation, *(header.generation for header in observed.headers))
        uids = tables.rule_uids(bundle)
        stale = books.numbers.keys() - set(uids)
        in_use = self._uids_in_use(books, observed.staged) if stale else set()
        numbers = tables.number_rules(books.numbers, uids, in_use)
        return replace(
            books,
            generation=latest + 1,
            numbers=numbers,
            phases=self._phases(bundle, observed, latest + 1),
        )

    def _phases(self, bundle: Bundle, observed: plan.Observed, generation: int) -> dict[int, int]:
        """Those of the slots that are there, and of the one to be built."""
        known = self.store.books().phases
        phases = {
            h.generation: known[h.generation] for h in observed.headers if h.generation in known
        }
        if instants := windows.instants(bundle):
            phases[generation] = windows.phase(instants, self.clock.wall_s())
        return phases

    def _uids_in_use(self, books: Books, staged: SlotHeader | None) -> set[str]:
        """By bundles that may rule again. Asked only where a number might be given back: reading them takes a while."""
        kept = [self.store.bundle(a.digest) for a in (books.confirmed, books.previous, staged) if a]
        of_bundles = {uid for old in kept if old for uid in tables.rule_uids(old)}
        return of_bundles | self.store.local().uids()

    def _encode(
        self, observed: plan.Observed, bundle: Bundle, combined: Bundle, books: Books
    ) -> tables.Tables:
        """`combined` is the bundle under the local rules, which change neither its place nor its digest."""
        mode = effective_mode(self.store.config().mode, bundle.mode)
        slot, generation = self._place(observed, bundle, tables.MODES[mode], books.generation)
        rules = windows.in_force(combined, self.clock.wall_s())
        built = tables.encode(
            rules, slot=slot, generation=generation, mode=mode, numbers=books.numbers
        )
        return replace(built, header=replace(built.header, digest=bundles.digest(bundle)))

    def _place(
        self, observed: plan.Observed, bundle: Bundle, mode: abi.Mode, following: int
    ) -> tuple[int, int]:
        """`plan.place`; what was staged when other rules were in force is not the policy any more."""
        if observed.staged and not self._is_current(windows.instants(bundle), observed.staged):
            return plan.spare_slot(observed), following
        return plan.place(observed, bundles.digest(bundle), mode, following)

    def _arm(
        self, observed: plan.Observed, header: SlotHeader, seconds: int, evidence: Requirement
    ) -> Transaction:
        import secrets  # late: with what it brings, as much as the rest of a change that needs none

        return Transaction(
            id=secrets.token_hex(4),
            token=secrets.token_hex(16),
            state=State.PENDING,
            generation=header.generation,
            digest=header.digest,
            previous_generation=observed.live.generation,
            deadline_ms=self.clock.boot_ms() + seconds * 1000,
            boot_id=self.clock.boot_id(),
            evidence=evidence,
        )

    def open_transaction(self, transaction_id: str, token: str) -> Transaction:
        """The last one, settled, if it has that token and was not taken back. Under the lock."""
        import secrets

        found = self.settle()
        if found is None or found.id != transaction_id:
            raise RefusedError(f"transaction {transaction_id} is not known here")
        if not secrets.compare_digest(found.token, token):
            raise RefusedError(f"transaction {transaction_id}: wrong token")
        if found.state is State.REVERTED:
            raise _taken_back(found)
        return found

    def tending(self) -> list[plan.Op]:
        """What `settle` would do about the staged slot."""
        if not self.kernel.loaded:
            return []
        return plan.plan_tending(self.observe(), self.store.comparison())

    def execute(self, ops: Sequence[plan.Op]) -> None:
        """Carries ops out, under the lock."""
        self._executor.execute(ops)


def effective_mode(ceiling: Mode, policy: Mode) -> Mode:
    """The weaker of what the host permits and what policy wants."""
    return Mode.PROTECT if ceiling is policy is Mode.PROTECT else Mode.MONITOR


def outcome_of(transaction: Transaction, *, changed: bool) -> Outcome:
    """Of a change that is confirmed; `transaction` where it is so under a lease only."""
    return Outcome(
        changed=changed,
        generation=transaction.generation,
        digest=transaction.digest,
        transaction=transaction if transaction.open else None,
    )


def _taken_back(transaction: Transaction) -> TakenBackError:
    return TakenBackError(
        f"generation {transaction.generation} was not confirmed in time: "
        f"the kernel has restored generation {transaction.previous_generation}"
    )

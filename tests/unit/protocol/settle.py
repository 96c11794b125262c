"""The lock, and how the last change ended: Agent.transaction, Agent.settle."""

from __future__ import annotations

from dataclasses import replace

from tcmicro_agent.transaction import State as Ended
from tcmicro_agent.transaction import Transaction, classify, settle

from .state import Process, Slot, State
from .steps import NEVER, Moved, Step, Verb, following, record, swap, write


def take_lock(host: State, me: Process) -> Moved | None:
    return None if host.lock else following(replace(host, lock=me.name), me)


def transaction(host: State) -> Transaction | None:
    """Agent.transaction: the last one as the kernel sees it."""
    found = host.files.transaction
    if found is None or not found.open:
        return found
    if not host.kernel.loaded or found.boot_id != str(host.boot):
        return found.ended(Ended.REVERTED)
    seen = host.observe()
    expired = seen.word.expired(seen.now_ms)
    word = classify(
        found, live_generation=seen.armed.generation, pending=seen.pending, expired=expired
    )
    return settle(found, word, seen.word.deadline_ms)


def unrecorded(host: State) -> Slot | None:
    """Agent._unrecorded: what rules for good and is not in the books."""
    confirmed, seen = host.files.confirmed, host.observe()
    if not host.kernel.loaded or seen.word.pending or not host.live.generation:
        return None
    return None if confirmed and confirmed.generation == host.live.generation else host.live


def unsettled(host: State) -> bool:
    return transaction(host) != host.files.transaction or unrecorded(host) is not None


def look(host: State, me: Process) -> Moved:
    if not unsettled(host):
        return host, replace(me, step=me.step + len(SETTLE))
    now = transaction(host)
    return following(host, me, transaction=now if now != host.files.transaction else None)


def latch(host: State, me: Process) -> Moved:
    if me.work.transaction and host.kernel.loaded and host.kernel.word.pending:
        host = swap(host, NEVER, NEVER)[1]
    return following(host, me)


def record_live(host: State, me: Process) -> Moved:
    if live := unrecorded(host):
        host = record(host, live.generation, live.bundle)
    return following(host, me)


def note_end(host: State, me: Process) -> Moved:
    if me.work.transaction:
        host = write(host, transaction=me.work.transaction)
    return following(host, me, transaction=None)


SETTLE: Verb = (
    Step("see what is not settled", look),
    Step("latch an expired word", latch),
    Step("record what rules for good", record_live),
    Step("note how the transaction ended", note_end),
)
BEGIN: Verb = (Step("take the lock", take_lock), *SETTLE)

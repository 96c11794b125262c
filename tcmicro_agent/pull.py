"""One pull: read the pointer of this host on the mirror, fetch what it names, and make it live as a pushed one is, for
as long as it takes the host to find out by itself that it may stay. Whatever is amiss changes nothing, or is taken back
by the kernel; both are written down.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tcmicro_agent import admission, messages, mirror, plan, pointer, probation, signing, verify
from tcmicro_agent.contact import Contact, Source
from tcmicro_agent.errors import BundleError, InputErrors, MirrorError, RefusedError, TcmicroError
from tcmicro_agent.evidence import LATEST_S, Requirement
from tcmicro_agent.executor import TakenBackError
from tcmicro_agent.journal import Journal
from tcmicro_agent.mirror import Look
from tcmicro_agent.pointer import Pointer, bundle_path
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.pull_book import PullBook, Record, Result
from tcmicro_agent.reconcile import Agent, Outcome
from tcmicro_agent.store import LockedError
from tcmicro_agent.transaction import Transaction
from tcmicro_agent.trust import Trust

MOST_SIGNED, MOST_BUNDLE = 16 * 1024, 64 * 1024 * 1024
PAUSE_S = 1.0
PUBLISH = "somebody has to look; a new pointer tries again: playbooks/pull.yml -e again=true"
RESULTS = (  # the first that fits
    (TakenBackError, Result.TAKEN_BACK),
    (MirrorError, Result.UNREACHABLE),
    (InputErrors, Result.DAMAGED),
    (LockedError, Result.BUSY),
    (RefusedError, Result.REFUSED),
)


@dataclass(frozen=True)
class Pulled:
    """`pointer` is what the mirror names, `outcome` what was changed, None when nothing had to be."""

    result: Result
    pointer: Pointer
    outcome: Outcome | None = None


class BusyError(RefusedError):
    """Another change waits to be confirmed."""

    exit_code = LockedError.exit_code


class NotAgainError(TakenBackError):
    """The bundle went back before, and nobody has signed another pointer since."""


class Pull:
    """Of one host. `wait` lets so many seconds pass."""

    def __init__(
        self,
        agent: Agent,
        source: Source,
        wait: Callable[[float], None],
        touch: Callable[[str, int, int, Look], None] = mirror.touch,
    ) -> None:
        self._agent = agent
        self._source = source
        self._wait = wait
        self._touch = touch
        self._book = PullBook(agent.store)
        self._trust = Trust(agent.store)

    def run(self, journal: Journal, *, dry_run: bool = False) -> Pulled:
        """What came of it, after it is written down. Raises what it failed with."""
        try:
            found = self._pull(dry_run=dry_run)
        except TcmicroError as error:
            self._note(error, dry_run=dry_run)
            journal.say(messages.PULL_FAILED(result=result_of(error).value, problem=error))
            raise
        if not dry_run:
            self._book.write(self._book.read().ended(self._now(), found.result))
        if found.result is Result.CHANGED and found.outcome:
            done = found.outcome
            digest = done.digest[:12]
            journal.say(messages.PULLED(digest=digest, generation=done.generation))
        return found

    def _note(self, error: TcmicroError, *, dry_run: bool) -> None:
        """A disk that is full must not hide what went wrong."""
        if dry_run:
            return
        went_back = isinstance(error, TakenBackError) and not isinstance(error, NotAgainError)
        try:
            ended = self._book.read().ended(self._now(), result_of(error), error.message)
            self._book.write(replace(ended, went_back=error.message) if went_back else ended)
        except TcmicroError:
            return

    def _pull(self, *, dry_run: bool) -> Pulled:
        found = self._read_pointer()
        known = self._book.read().noted(found)
        if not dry_run:
            self._book.write(known)
        if (seen := self._is_settled(found)) is not None:
            return Pulled(seen, found)
        if known.refusal:
            raise NotAgainError(
                f"bundle {found.digest[:12]} is not tried again: {known.refusal}", hint=PUBLISH
            )
        return self._apply(found, known, dry_run=dry_run)

    def _read_pointer(self, look: Look = lambda _: None) -> Pointer:
        """Verified, for this host, and not from the past: of the policies that ruled here, and of pointers."""
        host = self._trust.host()
        path = pointer.path_of(host)
        signed = signing.parse(self._source.fetch(path, MOST_SIGNED, look), path)
        if verify.signer(signed, self._trust.keys()) is None:
            raise RefusedError(
                f"{path}: signed by none of the policy keys that are trusted here",
                hint="publish it with a key that this host trusts (docs/pull.md)",
            )
        found = pointer.parse(signed)
        problems = pointer.judge(found, host, self._trust.floor(), self._now())
        if (known := self._book.read()).serial > found.serial:
            problems.append(f"serial: the mirror named {known.serial} before {found.serial}")
        if problems:
            raise RefusedError(f"{path}: {'; '.join(problems)}", hint="playbooks/pull.yml")
        return found

    def _is_settled(self, found: Pointer) -> Result | None:
        """What there is to say where nothing is to be done. Raises while another change is pending."""
        observed = self._agent.observe()
        if observed.pending:
            try:
                plan.refuse_if_pending(observed)
            except RefusedError as error:
                raise BusyError(error.message, hint="the next pull goes on") from error
        if observed.live.generation and observed.live.digest == found.digest:
            return Result.CURRENT
        return Result.WAITING if found.waits else None

    def _apply(self, found: Pointer, known: Record, *, dry_run: bool) -> Pulled:
        store = self._agent.store
        with tempfile.TemporaryDirectory(prefix="tcmicro-pull-") as directory:
            path = self._download(found, Path(directory))
            bundle = bundles.load(path.read_bytes(), bundle_path(found.digest))
            ticket = admission.examine(store, bundle, path, None)
        if ticket.digest != found.digest:
            text = f"it holds bundle {ticket.digest[:12]}"
            raise BundleError([f"{bundle_path(found.digest)}: {text}"])

        def admit() -> None:
            probation.fence(store, found.epoch, dry_run=dry_run)
            admission.admit(store, ticket, dry_run=dry_run)
            if not dry_run:
                self._book.write(known.begun(self._now()))

        done = self._agent.apply(
            bundle,
            confirm_within=found.confirm.within_s,
            dry_run=dry_run,
            evidence=Requirement.REQUIRED,
            admit=admit,
        )
        if done.transaction is None or dry_run:
            return Pulled(Result.CHANGED if done.changed else Result.CURRENT, found, done)
        return Pulled(Result.CHANGED, found, self._keep(found, done, done.transaction))

    def _download(self, found: Pointer, directory: Path) -> Path:
        path = bundle_path(found.digest)
        content = directory / "bundle.json"
        content.write_bytes(self._source.fetch(path, MOST_BUNDLE))
        signature = self._source.fetch(path + admission.SUFFIX, MOST_SIGNED)
        content.with_name(content.name + admission.SUFFIX).write_bytes(signature)
        return content

    def _keep(self, found: Pointer, done: Outcome, armed: Transaction) -> Outcome:
        """Looks until everything is well or it is too late; then the kernel takes it back, whoever lives."""
        ask = self._asking(found)
        contact = Contact(self._agent, done.generation, ask, self._touch)
        while True:
            fault = contact.fault(found.confirm) or self._confirm(armed)
            if not fault:
                return done
            left = (armed.deadline_ms - self._agent.clock.boot_ms()) / 1000
            if left < LATEST_S + PAUSE_S:
                break
            self._wait(PAUSE_S)
        self._wait(max(left, 0) + PAUSE_S)
        with suppress(LockedError), self._agent.store.lock():
            self._agent.settle()
        raise TakenBackError(
            f"generation {done.generation} (bundle {done.digest[:12]}) was taken back: {fault}",
            hint=PUBLISH,
        )

    def _confirm(self, armed: Transaction) -> str:
        """Keeps it for good; what is in the way of that now."""
        try:
            self._agent.confirm(armed.id, armed.token)
        except (RefusedError, LockedError) as error:
            return error.message
        return ""

    def _asking(self, found: Pointer) -> Callable[[Look], str]:
        def ask(look: Look) -> str:
            now = self._read_pointer(look)
            return "" if now.digest == found.digest else f"it names {now.digest[:12]} now"

        return ask

    def _now(self) -> int:
        return int(self._agent.clock.wall_s())


def result_of(error: TcmicroError) -> Result:
    if isinstance(error, BusyError):
        return Result.BUSY
    fitting = (result for kind, result in RESULTS if isinstance(error, kind))
    return next(fitting, Result.FAILED)


def describe(pulled: Pulled) -> dict[str, Any]:
    """Of the pointer, for people and controllers."""
    found = pulled.pointer
    return {
        "digest": found.digest,
        "serial": found.serial,
        "expires": found.expires,
        "share": found.share,
        "bucket": found.bucket,
        "epoch": found.epoch,
        "confirm_within_s": found.confirm.within_s,
        "evidence": found.confirm.evidence.value,
        "checks": [str(check) for check in found.confirm.checks],
    }

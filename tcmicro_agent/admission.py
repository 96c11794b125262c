"""Which bundles may be applied here: signed by a key of this host's, for this host, not expired, not from the past.

Asked where a bundle comes in (apply, stage, promote). What was confirmed here is restored and reverted to unasked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcmicro_agent import signing, verify
from tcmicro_agent.errors import RefusedError, TcmicroError
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.signing import Role, Signed, Wanted
from tcmicro_agent.store import Store
from tcmicro_agent.trust import Trust, read_signed

SUFFIX = ".sig"


@dataclass(frozen=True)
class Ticket:
    """What was found out about a bundle's signature; `problem` is why it would be refused were that not allowed."""

    digest: str
    signed: Signed | None = None
    key: str = ""
    serial: int = 0
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """For people and controllers: who signed, or why nobody did."""
        return {"key": self.key, "serial": self.serial, "problem": self.problem}


def examine(store: Store, bundle: Bundle, file: Path, signature: Path | None) -> Ticket:
    """Reads the signature, by default FILE.sig beside the bundle, and verifies it. Raises RefusedError."""
    digest, path = bundles.digest(bundle), signature or file.with_name(file.name + SUFFIX)
    try:
        return _verify(store, bundle, digest, path, required=signature is not None)
    except TcmicroError as error:
        if not store.config().allow_unsigned:
            raise
        return Ticket(digest, problem=error.message)


def admit(store: Store, ticket: Ticket, *, dry_run: bool) -> None:
    """Under the lock, with everything settled: refuses what is older than what ruled here, else keeps the signature."""
    if ticket.signed is None:
        return
    refuse_older(store, ticket.serial)
    if not dry_run:
        Trust(store).keep(ticket.digest, ticket.signed)


def readmit(store: Store, digest: str) -> None:
    """The same for what was staged, and so kept, before."""
    if store.config().allow_unsigned:
        return
    signed = Trust(store).signature(digest)
    if signed is None:
        hint = "stage it again with its signature"
        raise RefusedError(f"bundle {digest[:12]} was staged unsigned", hint=hint)
    refuse_older(store, signed.statement().serial)


def refuse_older(store: Store, serial: int) -> None:
    problems = signing.judge_serial(serial, Trust(store).floor())
    if problems and not store.config().allow_unsigned:
        raise RefusedError(
            f"signature: {problems[0]}", hint="sign the bundle anew to go back to it"
        )


def _verify(store: Store, bundle: Bundle, digest: str, path: Path, *, required: bool) -> Ticket:
    if not (required or path.exists()):
        raise RefusedError(
            f"bundle {digest[:12]} is unsigned: there is no {path}", hint=verify.HOW_TO_ALLOW
        )
    trust = Trust(store)
    host = trust.host()
    if bundle.host != host:
        raise RefusedError(f"bundle {digest[:12]} is for {bundle.host!r}, this host is {host!r}")
    signed = read_signed(path)
    wanted = Wanted(Role.POLICY, digest, host, trust.floor(), int(time.time()))
    key, statement = verify.check(signed, trust.keys(), wanted)
    return Ticket(digest, signed, key, statement.serial)

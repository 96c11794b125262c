# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pointers a mirror needs, by those it has. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tcmicro_agent import pointer, signing
from tcmicro_agent.errors import BundleError, TcmicroError
from tcmicro_agent.jsonutil import Reader, read
from tcmicro_agent.pointer import Check, Confirmation, Evidence, Pointer
from tcmicro_agent.signing import Role, Statement

Signer = Callable[[bytes], bytes]
MEMBERS = ("within_s", "evidence", "checks")
DEFAULT = Confirmation()


class PointerError(Exception):
    """A request that cannot be carried out; nothing was written."""


@dataclass(frozen=True)
class Request:
    """What all pointers of a run have in common. `again`: also for what went back, or is older than what a host has."""

    share: int
    valid_s: int
    epoch: int | None = None
    again: bool = False

    def problems(self) -> list[str]:
        found = []
        if not 1 <= self.share <= 100:
            found.append(f"share: {self.share} is not a percentage from 1 to 100")
        if self.valid_s < 1:
            found.append(f"valid_s: {self.valid_s} is not a number of seconds from 1")
        if self.epoch is not None and self.epoch < 0:
            found.append(f"epoch: {self.epoch} is not a number from 0")
        return found


def confirmations(hosts: Iterable[str], given: Mapping[str, Any]) -> dict[str, Confirmation]:
    """What each host has to find out. Raises PointerError with the faults of all."""
    found, problems = {}, []
    for host in hosts:
        try:
            found[host] = read(given.get(host) or {}, _read, BundleError)
        except BundleError as error:
            problems += [f"confirm.{host}.{problem}" for problem in error.problems]
    if problems:
        raise PointerError("\n".join(problems))
    return found


def _read(doc: Reader) -> Confirmation:
    within = doc.get_int(
        "within_s", pointer.SHORTEST_S, pointer.LONGEST_S, "number of seconds", DEFAULT.within_s
    )
    evidence = doc.get_enum("evidence", Evidence, DEFAULT.evidence)
    checks = doc.get_objects("checks") if doc.has("checks") else []
    if len(checks) > pointer.MOST_CHECKS:
        doc.fault("checks", f"{len(checks)} of them, at most {pointer.MOST_CHECKS} are made")
    made = tuple(Check(c.get_str("address"), c.get_int("port", 1, 65535, "port")) for c in checks)
    return Confirmation(within, evidence, made)


def known(content: bytes, sign: Signer) -> Pointer | None:
    """The pointer that is there, None where it is not by this key: somebody else may write to a mirror. Ed25519 gives a
    message one signature, so to verify is to sign."""
    try:
        signed = signing.parse(content, "pointer")
        if sign(signed.text.encode()) != signed.signature:
            return None
        return pointer.parse(signed)
    except (TcmicroError, UnicodeEncodeError):
        return None


def next_pointer(
    host: str,
    digest: str,
    confirm: Confirmation,
    request: Request,
    before: Pointer | None,
    now: int,
) -> tuple[Pointer, bool]:
    """The pointer of a host, and whether it is another one than before. One that is renewed keeps its serial, so that a
    host that went back does not try the same once more."""
    serial = now if before is None else max(now, before.serial + 1)
    if before is not None and before.digest == digest and not request.again:
        serial = before.serial
    expires = now + request.valid_s
    wanted = Pointer(host, digest, serial, expires, request.share, request.epoch, confirm)
    if before is None or replace(wanted, expires=before.expires) != before:
        return wanted, True
    fresh = before.expires - now > request.valid_s // 2
    return (before, False) if fresh else (wanted, True)


def files(wanted: Pointer, bundle: bytes, sign: Signer) -> dict[str, bytes]:
    """In the order in which they are to be written: what a pointer names is there before it."""
    path = pointer.bundle_path(wanted.digest)
    statement = Statement(Role.POLICY, wanted.digest, wanted.subject, wanted.serial, wanted.expires)
    return {
        path: bundle,
        f"{path}.sig": signing.sign(statement, sign).content(),
        pointer.path_of(wanted.subject): signing.Signed(
            wanted.text(), sign(wanted.text().encode())
        ).content(),
    }

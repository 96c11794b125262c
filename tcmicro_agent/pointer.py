"""A pointer: which bundle one host is to fetch from a mirror, until when, for which share of the fleet, and what the
host has to find out before it keeps it. Signed like a bundle, with keys of policies: the file is a signature whose
statement is the pointer. Pure.

    {"confirm": {"checks": [{"address": "10.0.0.53", "port": 53}], "evidence": "required", "within_s": 60},
     "digest": "2f0a…", "epoch": 4, "expires": 1795345941, "role": "pointer", "serial": 1795259541, "share": 25,
     "subject": "web1"}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from tcmicro_agent import signing
from tcmicro_agent.errors import BundleError
from tcmicro_agent.jsonutil import Reader, loads, read
from tcmicro_agent.signing import MAX_NUMBER, Signed

ROLE = "pointer"  # so that a pointer's signature is none of a bundle or release, nor theirs one of a pointer
DIGEST_LENGTH = 64
SHORTEST_S, LONGEST_S = 15, 3600
MOST_CHECKS = 16
HEXADECIMAL = frozenset("0123456789abcdef")


class Evidence(Enum):
    """Of a host, before it keeps what it pulled: new connections to the mirror and to all that is to be checked
    (`contact`), and that its kernel saw the new policy judge one of them (`required`)."""

    REQUIRED = "required"
    CONTACT = "contact"


@dataclass(frozen=True)
class Check:
    """A TCP port that has to take a connection of the host under the new policy; `address` may be a name."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"tcp {self.address} port {self.port}"


@dataclass(frozen=True)
class Confirmation:
    """`within_s`: then the kernel takes the policy back unless the host has found everything to be well."""

    within_s: int = 60
    evidence: Evidence = Evidence.REQUIRED
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Pointer:
    """`serial` only grows and is the bundle's, too; `expires` in seconds since 1970; `share`: percentage of the hosts
    that may go on already; `epoch` of the controller, None where nobody counts them."""

    subject: str
    digest: str
    serial: int
    expires: int
    share: int = 100
    epoch: int | None = None
    confirm: Confirmation = Confirmation()

    def text(self) -> str:
        """The bytes to sign: canonical JSON."""
        document = {**vars(self), "role": ROLE, "confirm": self._confirm()}
        if self.epoch is None:
            del document["epoch"]
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def _confirm(self) -> dict[str, Any]:
        checks = [vars(check) for check in self.confirm.checks]
        return {**vars(self.confirm), "evidence": self.confirm.evidence.value, "checks": checks}

    @property
    def bucket(self) -> int:
        """From 0 to 99; another one with each serial, so that it is not always the same hosts that go first."""
        return int(sha256(f"{self.serial} {self.subject}".encode()).hexdigest()[:8], 16) % 100

    @property
    def waits(self) -> bool:
        """Whether the share has not come to this host yet."""
        return self.bucket >= self.share


def path_of(host: str) -> str:
    """Where the pointer of a host is, below the mirror."""
    return f"pointers/{quote(host, safe='')}.json"


def bundle_path(digest: str) -> str:
    """Where a bundle is, below the mirror; its signature has `.sig` behind it."""
    return f"bundles/{digest}.json"


def parse(signed: Signed) -> Pointer:
    """What a signature says that is one of a pointer. Raises BundleError with every fault."""
    return read(loads(signed.text, BundleError, "pointer"), _read, BundleError)


def judge(pointer: Pointer, host: str, floor: int, now: int) -> list[str]:
    """Why a pointer, verified, is not enough; empty when it is. `floor`: the highest serial that was in force here."""
    problems = [] if pointer.subject == host else [f"subject: it is for {pointer.subject!r}"]
    if now > pointer.expires:
        problems.append(f"expires: it was good until {now - pointer.expires} s ago")
    return problems + signing.judge_serial(pointer.serial, floor)


def _read(doc: Reader) -> Pointer:
    if doc.get_str("role") != ROLE:
        doc.fault("role", f"not {ROLE!r}")
    return Pointer(
        subject=doc.get_str("subject"),
        digest=doc.get_value("digest", _digest, ""),
        serial=doc.get_int("serial", 1, MAX_NUMBER, "serial"),
        expires=doc.get_int("expires", 1, MAX_NUMBER, "time"),
        share=doc.get_int("share", 1, 100, "percentage"),
        epoch=_read_epoch(doc),
        confirm=_read_confirmation(doc.get_object("confirm")),
    )


def _read_epoch(doc: Reader) -> int | None:
    return doc.get_int("epoch", 0, MAX_NUMBER, "epoch") if doc.has("epoch") else None


def _read_confirmation(item: Reader) -> Confirmation:
    checks = item.get_objects("checks")
    if len(checks) > MOST_CHECKS:
        item.fault("checks", f"{len(checks)} of them, at most {MOST_CHECKS} are made")
    return Confirmation(
        within_s=item.get_int("within_s", SHORTEST_S, LONGEST_S, "number of seconds"),
        evidence=item.get_enum("evidence", Evidence),
        checks=tuple(Check(c.get_str("address"), c.get_int("port", 1, 65535)) for c in checks),
    )


def _digest(text: str) -> str:
    if len(text) != DIGEST_LENGTH or not HEXADECIMAL.issuperset(text):
        raise ValueError(f"{text[:80]!r} is no digest")
    return text

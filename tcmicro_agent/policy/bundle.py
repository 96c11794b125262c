"""A bundle as canonical JSON, its digest, and back again. The agent trusts nothing it did not parse here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tcmicro_agent.errors import BundleError
from tcmicro_agent.jsonutil import Reader, loads, read
from tcmicro_agent.policy.bundle_reader import read_bundle
from tcmicro_agent.policy.model import (
    SOURCES_INSIDE,
    Action,
    Bundle,
    Identity,
    IdentityInfo,
    Log,
    Mode,
    Rule,
)
from tcmicro_agent.policy.windows import written

T = TypeVar("T")


@dataclass(frozen=True)
class Text:
    """A bundle as canonical JSON, and the digest in it: the sha256 of all the rest but `sources`, which is for people.

    So a comment above a rule, which moves it to another line, changes no digest and with it no host.
    """

    digest: str
    content: bytes


class Writer:
    """Bundles as text. What several of them share, one and the same object, is formatted once."""

    def __init__(self) -> None:
        self._formatted: dict[tuple[int, object], tuple[object, bytes]] = {}

    def write(self, bundle: Bundle) -> Text:
        members = {
            "kind": canonical("Bundle"),
            "schema": canonical(bundle.schema),
            "host": canonical(bundle.host),
            "mode": canonical(bundle.mode.value),
            "defaults": canonical(_defaults(bundle)),
            "identities": self._once(bundle.identities, _identities),
            "endpoints": self._once(bundle.endpoints, _endpoints),
            "rules": self._once(bundle.rules, _rules),
        }
        besides = {"sources": self._once(bundle.rules, _sources)}
        if bundle.schema == SOURCES_INSIDE:
            members["rules"], besides = self._once(bundle.rules, _rules_with_sources), {}
        digest = hashlib.sha256(_object(members)).hexdigest()
        return Text(digest, _object({**members, **besides, "digest": canonical(digest)}))

    def _once(self, part: T, form: Callable[[T], bytes]) -> bytes:
        key = id(part), form
        if key not in self._formatted:
            self._formatted[key] = part, form(part)  # the part is kept, and so is its id
        return self._formatted[key][1]


def write(bundle: Bundle) -> Text:
    """The bundle as text. Made once: a bundle never changes, and the text stays with it."""
    known: Text | None = vars(bundle).get("text")
    if known is None:
        known = vars(bundle)["text"] = Writer().write(bundle)
    return known


def to_document(bundle: Bundle) -> Any:
    """The bundle as JSON values, `digest` included."""
    return json.loads(write(bundle).content)


def canonical(value: Any) -> bytes:
    """One byte string per meaning: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(bundle: Bundle) -> str:
    """The sha256 that names the bundle."""
    return write(bundle).digest


def load(text: bytes, where: str) -> Bundle:
    """The bundle in a file's text. Raises BundleError with every fault, as `parse` and `jsonutil.loads` do."""
    return _load_canonical(text) or parse(loads(text, BundleError, where))


def parse(document: object) -> Bundle:
    """The bundle a document describes. Raises BundleError with every fault: shape, references, digest."""
    return read(document, _read, BundleError)


def _load_canonical(text: bytes) -> Bundle | None:
    """The bundle in a canonical text. Such a text holds no key twice, so it needs no reader that looks for that."""
    try:
        bundle = parse(json.loads(text))
    except (ValueError, RecursionError, BundleError):
        return None
    return bundle if write(bundle).content == text else None


def _object(members: Mapping[str, bytes]) -> bytes:
    """A canonical JSON object of members that are canonical JSON already."""
    pieces = [b"{"]
    for name, value in sorted(members.items()):
        pieces += (canonical(name), b":", value, b",")
    pieces[-1] = b"}"
    return b"".join(pieces)


def _defaults(bundle: Bundle) -> dict[str, Any]:
    defaults = {
        "ingress": _default(bundle.default_ingress, bundle.default_source[0]),
        "egress": _default(bundle.default_egress, bundle.default_source[1]),
    }
    if bundle.default_forward is Action.DENY:
        defaults["forward"] = _default(bundle.default_forward, bundle.forward_source)
    for way in bundle.audited_defaults:
        defaults[way]["mode"] = Mode.MONITOR.value
    return defaults


def _default(action: Action, source: str) -> dict[str, str]:
    return {"action": action.value, "source": source}


def _identities(infos: Iterable[IdentityInfo]) -> bytes:
    return canonical(
        [
            {
                "number": info.number,
                "name": info.name,
                "groups": info.groups,
                "labels": dict(info.labels),
            }
            for info in infos
        ]
    )


def _endpoints(endpoints: Mapping[str, Identity]) -> bytes:
    """By hand, for there are many; nothing in a canonical network needs an escape."""
    rows = [f'{{"identity":{n},"network":"{network}"}}' for network, n in endpoints.items()]
    return f"[{','.join(rows)}]".encode()


def _rules(rules: Iterable[Rule]) -> bytes:
    return canonical([_rule(rule) for rule in rules])


def _rules_with_sources(rules: Iterable[Rule]) -> bytes:
    return canonical([{**_rule(rule), "source": rule.source} for rule in rules])


def _sources(rules: Iterable[Rule]) -> bytes:
    return canonical({rule.uid: rule.source for rule in rules})


def _rule(rule: Rule) -> dict[str, Any]:
    """What is as it mostly is goes without saying: a rule that always holds, tells of what it denies, and enforces."""
    window = {"start": rule.window.start, "end": rule.window.end}
    return {
        "uid": rule.uid,
        "direction": rule.direction.value,
        "action": rule.action.value,
        "tier": rule.tier,
        "services": [
            {"protocol": s.protocol.value, "first": s.first, "last": s.last} for s in rule.services
        ],
        "identities": rule.identities,
        "any": rule.any_peer,
        **{key: written(end) for key, end in window.items() if end is not None},
        **({} if rule.log is Log.DENY else {"log": rule.log.value}),
        **({"mode": Mode.MONITOR.value} if rule.audits else {}),
    }


def _read(doc: Reader) -> Bundle:
    bundle = read_bundle(doc)
    named, found = doc.get_str("digest"), digest(bundle)
    if named != found:
        doc.fault("digest", f"{named[:12]} does not name this content ({found[:12]})")
    return bundle

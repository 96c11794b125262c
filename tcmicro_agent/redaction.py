"""Secrets taken out of what leaves a host. Pure; better too much than too little."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

REDACTED = "[redacted]"
NAMES = r"(?:token|secret|passw(?:or)?d|passphrase|credential|authorization|cookie|api[_-]?key|private[_-]?key)s?"
SECRET_NAME = re.compile(rf"(?i){NAMES}|private")
# In each what stays is group 1: it says what there was.
PATTERNS = (
    # a private key in any form of PEM, also one that was cut
    re.compile(
        r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----).*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
        re.S,
    ),
    # an assignment to a name of a secret: token=x, "password": "x", Authorization: Bearer x
    re.compile(rf"""(?i)({NAMES}["']?\s*[=:]\s*["']?(?:bearer\s+|basic\s+)?)[^\s"',;}}\])&]+"""),
    # an option named like one: --token x
    re.compile(rf"(?i)(--?{NAMES}\s+)[^\s-]\S*"),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(://)[^\s/@:]+:[^\s/@]+(?=@)"),  # user and password of an address
)
LEAST = 6  # characters of a secret that is looked for by itself


class Redaction:
    """`known` secrets of this host are found wherever they stand; `count` says how many were taken out."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = sorted((k for k in known if len(k) >= LEAST), key=len, reverse=True)
        self.count = 0

    def text(self, text: str) -> str:
        for secret in self._known:
            self.count += text.count(secret)
            text = text.replace(secret, REDACTED)
        for pattern in PATTERNS:
            text = pattern.sub(self._replaced, text)
        return text

    def _replaced(self, found: re.Match[str]) -> str:
        self.count += not found[0].endswith(REDACTED)
        return f"{found[1]}{REDACTED}"

    def document(self, value: Any) -> Any:
        """Of JSON values: whatever stands under a name of a secret, and secrets inside of texts."""
        if isinstance(value, dict):
            return {self.text(str(key)): self._named(str(key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.document(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def _named(self, name: str, value: Any) -> Any:
        if SECRET_NAME.search(name) and value not in (None, "", [], {}):
            self.count += 1
            return REDACTED
        return self.document(value)

"""Scalars: plain where every YAML reader takes them for the same text, else in double quotes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tcmicro_agent.policy.layout.pieces import Piece
from tcmicro_agent.policy.problems import BREAK

WORD = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+@=%-]*(?::[A-Za-z0-9_./+@=%-]+)*")
PROSE = re.compile(r"[A-Za-z0-9_./(](?:.*[^\s:])?")
UNSAFE = re.compile(r":\s|\s#|::|[^ -~\xa1-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
HEADER = re.compile(r"[|>]-?[ \t]*(#.*)?")
ESCAPED = re.compile(r"[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def scalar(node: Any, *, in_flow: bool) -> str:
    if not node.tag.endswith(":str"):
        return str(node.value)
    text = node.value
    return text if _is_plain(text, in_flow=in_flow) else quoted(text)


def quoted(text: str) -> str:
    """In double quotes; JSON's escapes are YAML's too."""
    return ESCAPED.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False)
    )


def block_scalar(piece: Piece, before: str, indent: str) -> Iterator[str]:
    """Text over several lines as it was written, at its new place."""
    lines = BREAK.split(piece.source)
    body = lines[1:]
    while body and not body[-1].strip():
        body.pop()
    first = next((line for line in body if line.strip()), "")
    margin = len(first) - len(first.lstrip(" "))
    keeps = (
        HEADER.fullmatch(lines[0].rstrip()) and margin and not first.lstrip(" ").startswith("\t")
    )
    if not keeps:
        yield before + quoted(piece.node.value)
        return
    yield before + lines[0].rstrip()
    yield from (indent + line[margin:].rstrip("\r") if line.strip() else "" for line in body)


def _is_plain(text: str, *, in_flow: bool) -> bool:
    form = WORD if in_flow else PROSE
    return bool(form.fullmatch(text)) and not UNSAFE.search(text) and not _means_else(text)


def _means_else(text: str) -> bool:
    """Whether some reader of YAML takes it for a number, a time, true or nothing."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    known = [*resolvers.get(text[:1], ()), *resolvers.get(None, ())]
    return any(pattern.match(text) for _, pattern in known)

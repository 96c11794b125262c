"""What every document for machines begins with."""

from __future__ import annotations

from typing import Any


def document(kind: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": "tcmicro/v1", "kind": kind, **content}

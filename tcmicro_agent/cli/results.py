"""What a verb returns: a document, and the exit code. Pure, so that verbs of the controller need no agent for it."""

from __future__ import annotations

from typing import Any

Result = tuple[dict[str, Any], int]
NEGATIVE = 3

"""Policies as people write them: YAML text in, `intent` values out, or every fault of every file at once."""

from __future__ import annotations

from tcmicro_agent.policy.source.document import parse_documents, parse_policies

__all__ = ["parse_documents", "parse_policies"]

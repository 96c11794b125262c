"""Faults of policies as SARIF 2.1.0, which code hosting shows beside the lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from tcmicro_agent.policy.catalogue import ADVICE, link
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.version import VERSION

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
HOME = "https://github.com/tcmicro/tcmicro"


def log(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One run with the rows of `diagnostics.rows`; rules are the codes that occur."""
    results = list(found)
    codes = sorted({row["code"] for row in results})
    numbers = {code: number for number, code in enumerate(codes)}
    driver = {
        "name": "tc-micro",
        "version": VERSION,
        "informationUri": HOME,
        "rules": [_rule(Code(code)) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(row, numbers[row["code"]]) for row in results],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: Code) -> dict[str, Any]:
    advice = ADVICE[code]
    return {
        "id": code.value,
        "name": "".join(part.capitalize() for part in code.name.split("_")),
        "shortDescription": {"text": code.title},
        "fullDescription": {"text": advice.why},
        "help": {"text": advice.fix},
        "helpUri": f"{HOME}/blob/main/{link(code)}",
        "defaultConfiguration": {"level": code.severity.value},
    }


def _result(row: Mapping[str, Any], rule: int) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": _uri(row["file"])}}
    if row["line"]:
        location["region"] = {"startLine": row["line"], "startColumn": max(1, row["column"])}
    return {
        "ruleId": row["code"],
        "ruleIndex": rule,
        "level": row["severity"],
        "message": {"text": row["message"]},
        "locations": [{"physicalLocation": location}],
    }


def _uri(file: str) -> str:
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())

"""A Prometheus that listens on a lab host alone, asked from there over one ssh."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tools.demo.lab import Lab
from tools.process import ToolError

PORT = 9090
STEP_S = 15
LIMIT_S = 120
# Reads URLs on standard input, writes the answers as one list.
ASK = """
import json, sys, urllib.request as u
json.dump([json.load(u.urlopen(url, timeout=30)) for url in json.load(sys.stdin)], sys.stdout)
"""

Series = list[tuple[str, list[tuple[float, float]]]]


@dataclass(frozen=True)
class Window:
    """Seconds since 1970."""

    start: float
    end: float


def ranges(lab: Lab, host: str, exprs: Sequence[str], window: Window) -> list[list[dict[str, Any]]]:
    """What the server has for each expression over the window: series with `metric` and `values`. Raises ToolError."""
    times = {"start": window.start, "end": window.end, "step": STEP_S}
    urls = [
        f"http://127.0.0.1:{PORT}/api/v1/query_range?{urlencode({'query': expr, **times})}"
        for expr in exprs
    ]
    command = shlex.join(["python3", "-c", ASK])
    reply = lab.ssh(host, command, send=json.dumps(urls), timeout=LIMIT_S)
    if not reply.ok:
        raise ToolError(f"{host}: Prometheus does not answer: {reply.err[-300:]}")
    return [answer["data"]["result"] for answer in json.loads(reply.out)]

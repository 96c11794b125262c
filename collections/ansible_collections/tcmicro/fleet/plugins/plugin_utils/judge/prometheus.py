# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same numbers from a Prometheus server that scrapes the agents, instead of from the agents themselves.

Each agent serves its latest sample as tc_micro_sample{value="…"}; a recording rule (monitoring/rules/recording.yml) keeps
what was scraped lately. Samples are asked for as they were recorded, not at regular steps, for which the server would fill a
gap of minutes with what it knew last. A server that does not answer, or not as it should, or lacks the rule, is no evidence
at all: its error becomes the evidence's, so that a rollout pauses and does not pass.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.error import URLError
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import Request, urlopen

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import Gates, Level

FAMILY = "instance_value:tc_micro_sample:last"
PATIENCE_S = 10.0
CHANGE_S = 900  # between the looks before and after, besides the bake
MAX_BYTES = 256 * 1024 * 1024
BOOT = "prometheus"  # resets are told by falling counters alone


class PrometheusError(Exception):
    """The server did not answer, or not with a range of samples."""


def with_samples(evidence: Evidence, gates: Gates, url: str, now_s: float) -> Evidence:
    """The evidence with the server's samples in every look, or with why there are none. `now_s`: seconds since 1970."""
    length = gates.comparison.before_s + CHANGE_S + evidence.seconds
    names = [name for m in gates.metrics for name in (*m.values, *m.per) if m.level in SAMPLED]
    try:
        series = query(url, sorted(set(names)), now_s - length, now_s)
    except PrometheusError as exc:
        return replace(evidence, source_error=str(exc))
    return _placed(evidence, series, now_s)


SAMPLED = (Level.LIMIT, Level.CONTROLS)


def query(
    url: str, names: Sequence[str], start_s: float, end_s: float
) -> dict[str, dict[float, dict[str, float]]]:
    """By instance without its port: the values by name, by time. Raises PrometheusError."""
    found: dict[str, dict[float, dict[str, float]]] = {}
    for name in names:
        words = {
            "query": f'{FAMILY}{{value="{name}"}}[{int(end_s - start_s)}s]',
            "time": f"{end_s:.3f}",
        }
        for instance, when, value in _range(f"{url.rstrip('/')}/api/v1/query?{urlencode(words)}"):
            found.setdefault(instance, {}).setdefault(when, {})[name] = value
    if names and not found:
        raise PrometheusError(
            f"{_place(url)}: it has no series {FAMILY}; playbooks/monitoring.yml gives it the rule that records them"
        )
    return found


def _range(url: str) -> Iterator[tuple[str, float, float]]:
    try:
        for series in _ask(url)["data"]["result"]:
            host = urlsplit(f"//{series['metric']['instance']}").hostname or ""
            yield from ((host, float(when), float(value)) for when, value in series["values"])
    except (KeyError, TypeError, ValueError) as exc:
        raise PrometheusError(f"{_place(url)}: not a range of samples: {exc!r}") from exc


def _ask(url: str) -> dict[str, Any]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise PrometheusError(f"{_place(url)}: must be an http or https address")
    try:
        with urlopen(_request(url), timeout=PATIENCE_S) as reply:
            answer = json.loads(reply.read(MAX_BYTES))
    except (URLError, OSError, ValueError) as exc:
        raise PrometheusError(f"{_place(url)}: {exc}") from exc
    if not isinstance(answer, dict) or answer.get("status") != "success":
        said = answer.get("error") if isinstance(answer, dict) else "no object"
        raise PrometheusError(f"{_place(url)}: {said}")
    return answer


def _request(url: str) -> Request:
    """Name and password of an address go into a header: the library takes them for a part of the host's name."""
    parts = urlsplit(url)
    if parts.username is None:
        return Request(url)  # noqa: S310
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    header = {"Authorization": f"Basic {b64encode(login).decode()}"}
    return Request(bare, headers=header)  # noqa: S310


def _place(url: str) -> str:
    """The address without the question, and without a password."""
    parts = urlsplit(url)
    return f"prometheus at {parts.hostname or url}{f':{parts.port}' if parts.port else ''}"


def _placed(
    evidence: Evidence, series: Mapping[str, Mapping[float, Mapping[str, float]]], now_s: float
) -> Evidence:
    """Every look with the samples of its host, and with the server's clock: the change began before it and the bake."""
    before, after = dict(evidence.before), dict(evidence.after)
    for host in (*evidence.hosts, *evidence.controls):
        names = (host.lower(), *evidence.addresses.get(host, ()))
        rows = next((series[name] for name in names if name in series), {})
        samples = [{"t": t, "boot_id": BOOT, "values": rows[t]} for t in sorted(rows)]
        now, elapsed = now_s, _elapsed(evidence, host)
        for looks, moment in ((before, now - elapsed), (after, now)):
            if host in looks:
                peers = (looks[host].get("samples") or {}).get("peers")
                document = {"now": moment, "boot_id": BOOT, "samples": samples, "peers": peers}
                looks[host] = {**looks[host], "samples": document}
    return replace(evidence, before=before, after=after)


def _elapsed(evidence: Evidence, host: str) -> float:
    """Seconds between the looks at a host, by the host's own clock; the bake where it does not say."""
    times = [
        (looks.get(host) or {}).get("samples") or {} for looks in (evidence.before, evidence.after)
    ]
    if all("now" in document for document in times):
        return float(times[1]["now"] - times[0]["now"])
    return float(evidence.seconds)

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where samples are sent too: remote_write of prometheus.yml, looked at before a server reads it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

NAME = "monitoring_remote_write"
SCHEMES = ("http", "https")
# As Prometheus 2.42 has them.
WORDS = frozenset(
    [
        "url",
        "remote_timeout",
        "headers",
        "write_relabel_configs",
        "name",
        "send_exemplars",
        "send_native_histograms",
        "sigv4",
        "basic_auth",
        "authorization",
        "oauth2",
        "tls_config",
        "proxy_url",
        "follow_redirects",
        "enable_http2",
        "queue_config",
    ]
)
WAYS_IN = ("basic_auth", "authorization", "oauth2", "sigv4")


def faults(stores: Iterable[Any]) -> Iterator[str]:
    """What is wrong with it. A secret is never part of a message."""
    names = []
    for place, store in enumerate(stores):
        where = f"{NAME}[{place}]"
        if not isinstance(store, Mapping):
            yield f"{where}: no mapping; allowed is one with a url, and what Prometheus knows besides"
            continue
        yield from (f"{where}.{fault}" for fault in _of_one(store))
        names += [store["name"]] if store.get("name") else []
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{NAME}: the name {name!r} is taken twice"


def _of_one(store: Mapping[str, Any]) -> Iterator[str]:
    yield from _of_url(str(store.get("url") or ""))
    for unknown in sorted(set(store) - WORDS):
        yield f"{unknown}: unknown; allowed are {', '.join(sorted(WORDS))}"
    ways = [way for way in WAYS_IN if store.get(way)]
    if len(ways) > 1:
        yield f"{ways[1]}: there is {ways[0]} already; allowed is one way in"
    yield from _of_tls(store.get("tls_config") or {})


def _of_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in SCHEMES and bool(parts.hostname)
    except ValueError:
        whole = False
    if not whole:
        yield "url: not a URL like https://store.example.com/api/v1/write"
    elif "@" in parts.netloc:
        yield "url: holds a name or password; allowed is basic_auth beside it"


def _of_tls(tls: Mapping[str, Any]) -> Iterator[str]:
    if bool(tls.get("cert_file")) != bool(tls.get("key_file")):
        yield "tls_config: cert_file and key_file are only of use together"

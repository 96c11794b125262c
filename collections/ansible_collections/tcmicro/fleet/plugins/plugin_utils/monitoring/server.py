# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents of a Prometheus server: prometheus.yml, its web configuration, and what an existing one lacks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring import remote
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring.faults import (
    MonitoringError,
    refuse,
)

JOB = "tcmicro"
SHORT = tuple(f"{n}s" for n in range(1, 10))  # a scrape must end within its interval
DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")
SIZE = re.compile(r"\d+(B|KB|MB|GB|TB|PB|EB)")
HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")


def prometheus_config(settings: Mapping[str, Any]) -> dict[str, Any]:
    """prometheus.yml. `settings`: scrape_interval, targets and rules (paths), alertmanager (host:port), scrape_tls,
    remote_write, external_labels."""
    every = settings["scrape_interval"]
    stores, tls = settings.get("remote_write") or [], settings.get("scrape_tls") or {}
    wrong = [*_not_a(DURATION, "monitoring_scrape_interval", every, "a duration like 10s")]
    refuse([*wrong, *_half(tls), *remote.faults(stores)])
    intervals = {
        "scrape_interval": every,
        "scrape_timeout": every if every in SHORT else "10s",
        "evaluation_interval": "15s",
    }
    labels = settings.get("external_labels")
    found: dict[str, Any] = {
        "global": {**intervals, **({"external_labels": labels} if labels else {})},
        "rule_files": [settings["rules"]],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [settings["alertmanager"]]}]}]
        },
        "scrape_configs": [job(settings["targets"], tls)],
        "remote_write": stores,
    }
    return {name: value for name, value in found.items() if value}


def job(targets: str, tls: Mapping[str, str]) -> dict[str, Any]:
    """The job that scrapes agents. `tls`: ca, certificate and key that the server shows to agents, as paths there."""
    names = {"ca": "ca_file", "certificate": "cert_file", "key": "key_file"}
    files = {names[name]: path for name, path in tls.items() if path}
    return {
        "job_name": JOB,
        "file_sd_configs": [{"files": [targets]}],
        **({"tls_config": files} if files else {}),
    }


def _half(tls: Mapping[str, str]) -> Iterator[str]:
    if bool(tls.get("certificate")) != bool(tls.get("key")):
        yield "monitoring_scrape_tls: certificate and key are only of use together"


def web_config(tls: Mapping[str, str], users: Mapping[str, str]) -> dict[str, Any]:
    """Of the server itself: TLS with files there, and users by name with their password's bcrypt hash. {}: neither."""
    lacking = [name for name in ("certificate", "key") if tls and not tls.get(name)]
    faults = [f"monitoring_tls: no {name}; allowed is a path on the host" for name in lacking]
    faults += [
        f"monitoring_users.{name}: not a bcrypt hash; allowed is what `htpasswd -nB {name}` prints after the colon"
        for name, hashed in users.items()
        if not HASH.fullmatch(str(hashed))
    ]
    refuse(faults)
    found: dict[str, Any] = {}
    if tls:
        found["tls_server_config"] = {"cert_file": tls["certificate"], "key_file": tls["key"]}
    if tls.get("client_ca"):
        demanded = {
            "client_ca_file": tls["client_ca"],
            "client_auth_type": "RequireAndVerifyClientCert",
        }
        found["tls_server_config"].update(demanded)
    return {**found, **({"basic_auth_users": dict(users)} if users else {})}


def arguments(settings: Mapping[str, Any]) -> str:
    """The server's command line. `settings`: address, port, retention_time, retention_size, web (path or "")."""
    time, size = settings["retention_time"], settings["retention_size"]
    faults = [*_not_a(DURATION, "monitoring_retention_time", time, "a duration like 15d")]
    faults += _not_a(SIZE, "monitoring_retention_size", size, "a size like 20GB") if size else []
    refuse(faults)
    flags = {
        "web.listen-address": listen(settings["address"], settings["port"]),
        "storage.tsdb.retention.time": time,
        "storage.tsdb.retention.size": size,
        "web.config.file": settings["web"],
    }
    return " ".join(f"--{name}={value}" for name, value in flags.items() if value)


def listen(address: str, port: int | str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _not_a(shape: re.Pattern[str], name: str, value: object, allowed: str) -> Iterator[str]:
    if not shape.fullmatch(str(value)):
        yield f"{name}: {value!r} is not {allowed}"


# --- a server that somebody else configures


def unregistered(
    config: Any, targets: str, rules: str, tls: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What prometheus.yml of an existing server lacks to scrape agents and know our rules, to be added there; {} when
    nothing. `rules`: a directory; `tls`: as of `job`. Raises MonitoringError where it is no configuration."""
    if not isinstance(config, Mapping):
        raise MonitoringError("monitoring_config: no mapping; allowed is a prometheus.yml")
    wanted: dict[str, Any] = {}
    if not {f"{rules}/*.yml", f"{rules}/*"} & set(config.get("rule_files") or ()):
        wanted["rule_files"] = [f"{rules}/*.yml"]
    if not any(_scrapes(known, targets) for known in config.get("scrape_configs") or ()):
        wanted["scrape_configs"] = [job(targets, tls or {})]
    return wanted


def _scrapes(known: Mapping[str, Any], targets: str) -> bool:
    files = [file for sd in known.get("file_sd_configs") or () for file in sd.get("files") or ()]
    return known.get("job_name") == JOB and targets in files

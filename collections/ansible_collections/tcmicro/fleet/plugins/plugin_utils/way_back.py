# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is taken back when, and where taking back ends because it fails. Pure: reads what the journal holds.

A failure domain is a site and rack. No more than a quarter of one is taken back at once, so that a way back which breaks
hosts is known before it has broken a whole one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import HostRow, Record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import TOUCHED, Host

DOMAIN_SHARE = 0.25
HALT_SHARE, HALT_LEAST = 0.2, 2
VARIABLES = ("tcmicro_site", "tcmicro_rack")

Domains = Mapping[str, str]  # by host; "" or none where nothing is known


def domains(variables: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Of the inventory's variables of hosts."""
    return {
        host: "/".join(str(own[name]) for name in VARIABLES if own.get(name))
        for host, own in variables.items()
    }


def order(record: Record, domain_of: Domains) -> list[list[str]]:
    """Batches of hosts to take back: those that failed, then the newest wave, then older ones; each in so many parts that no
    domain is taken back by more than a quarter at once."""
    rows = [h for h in record.hosts.values() if h.state in TOUCHED and h.state is not Host.RESTORED]
    failing = {h.host for h in rows if h.failure} | failed_hosts(record)
    first = [h for h in rows if h.host in failing]
    waves = sorted({h.wave for h in rows}, reverse=True)
    rest = [[h for h in rows if h.wave == n and h.host not in failing] for n in waves]
    quota = _quotas(record, domain_of)
    return [part for batch in [first, *rest] for part in _parts(record, batch, domain_of, quota)]


def _quotas(record: Record, domain_of: Domains) -> dict[str, int]:
    sizes = Counter(domain_of.get(host, "") for host in record.hosts)
    return {domain: max(1, int(size * DOMAIN_SHARE)) for domain, size in sizes.items()}


def _parts(
    record: Record, batch: Iterable[HostRow], domain_of: Domains, quota: Mapping[str, int]
) -> list[list[str]]:
    """What its lease would take back anyway waits for nobody: it is one store in the kernel, and breaks nothing."""
    parts: dict[int, list[str]] = {}
    taken: Counter[str] = Counter()
    for row in batch:
        domain = domain_of.get(row.host, "")
        leased = record.kind == "policy" and row.back_by is not None
        number = taken[domain] // quota[domain] if domain and not leased else 0
        taken[domain] += not leased
        parts.setdefault(number, []).append(row.host)
    return [parts[number] for number in sorted(parts)]


def failed_hosts(record: Record) -> set[str]:
    """Hosts that a verdict named."""
    return {
        finding["host"]
        for verdict in record.verdicts
        for finding in verdict.get("findings", ())
        if finding.get("host") and finding.get("outcome") == "fail"
    }


def halted(record: Record) -> bool:
    """Whether taking back fails as a whole: on more than a fifth of the hosts, and on more than one of them."""
    return _fails(row for row in record.hosts.values() if row.state in TOUCHED)


def halted_domains(record: Record, domain_of: Domains) -> set[str]:
    """Domains in which it fails on as many of their hosts; the others go on."""
    rows = [row for row in record.hosts.values() if row.state in TOUCHED]
    known = {domain for row in rows if (domain := domain_of.get(row.host, ""))}
    return {d for d in known if _fails(row for row in rows if domain_of.get(row.host) == d)}


def _fails(rows: Iterable[HostRow]) -> bool:
    touched = list(rows)
    stuck = sum(row.state is Host.STUCK for row in touched)
    return stuck >= HALT_LEAST and stuck > HALT_SHARE * len(touched)

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new bundle changes for a host, for people: the connections that open and close. Pure."""

from __future__ import annotations

from dataclasses import replace

from tcmicro_agent.errors import BundleError
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.difference.report import host_report
from tcmicro_agent.policy.resolve import NO_POLICY


def difference(live: str | None, document: str, ops: list[str], now: float) -> dict[str, str]:
    """Ansible's `diff` of a host. `live` is its bundle as text, "" when it has none, None when nobody knows it; then
    all there is to tell is what is done in the kernel."""
    try:
        return {"prepared": _meaning(live, document, now)}
    except BundleError as exc:
        return {"prepared": "".join(f"{line}\n" for line in (*exc.problems, *ops))}


def _meaning(live: str | None, document: str, now: float) -> str:
    if live is None:
        raise BundleError(["the host does not keep its live bundle, so what changes is not known"])
    new = bundles.load(document.encode(), "the new bundle")
    old = (
        bundles.load(live.encode(), "the live bundle")
        if live
        else replace(NO_POLICY, host=new.host)
    )
    return f"{host_report(old, new, now).plain()}\n"

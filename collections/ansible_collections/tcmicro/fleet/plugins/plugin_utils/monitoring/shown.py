# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which configurations may stand in a diff: those that hold no password, neither before nor after. Pure."""

from __future__ import annotations

from collections.abc import Iterable

# What passwords stand below: stores that samples are sent to, and ways to tell people of an alert.
SECRET = {"prometheus": "remote_write:", "alertmanager": "_configs:"}


def may_be_shown(texts: Iterable[str], server: str) -> bool:
    """`texts`: the configuration of that server as it is and as it will be, YAML."""
    return not any(SECRET[server] in text for text in texts)

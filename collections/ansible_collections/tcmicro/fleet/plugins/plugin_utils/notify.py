# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell people how a rollout ended: a webhook, a command. What fails here is said, and changes nothing."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

TIMEOUT_S = 15


def short(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a webhook gets: the record without samples and events. `text` is what chat programs show."""
    names = ("kind", "id", "subject", "state", "why", "started", "ended")
    touched = sorted(h for h, one in document["hosts"].items() if one["state"] != "untouched")
    state = str(document["state"]).replace("_", " ")
    text = f"tcmicro: {document['subject']} {state}: {document['why'] or 'no reason was recorded'}"
    return {**{name: document[name] for name in names}, "touched": touched, "text": text}


def webhook(url: str, body: Mapping[str, Any]) -> str:
    """POST as JSON; "" or what went wrong, without the address, which may hold a secret."""
    if not url.startswith(("https://", "http://")):
        return "the webhook's address does not begin with https:// or http://"
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            return ""
    except urllib.error.HTTPError as exc:
        return f"the webhook answered {exc.code} {exc.reason}"
    except (OSError, ValueError) as exc:
        return f"the webhook was not reached: {getattr(exc, 'reason', None) or type(exc).__name__}"


def command(words: Sequence[str], text: str) -> str:
    """Run a command with the report on its standard input, as `mail -s … ops@…` wants it; "" or what went wrong."""
    try:
        done = subprocess.run(
            list(words), input=text, text=True, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"{words[0]}: {exc}"
    said = done.stderr.strip().splitlines() or ["no reason given"]
    return f"{words[0]} ended with {done.returncode}: {said[-1]}" if done.returncode else ""

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A record as files beside the journal: for people, for a browser, for a CI server, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.junit import junit
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.markdown import markdown
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.page import page
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import parse


def write(document: Mapping[str, Any], folder: Path) -> list[str]:
    """Writes report.md, report.html, junit.xml and record.json; their paths. RecordError, OSError."""
    record = parse(document)
    texts = {
        "report.md": markdown(record),
        "report.html": page(record),
        "junit.xml": junit(record),
        "record.json": json.dumps(document, indent=1, sort_keys=True) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in texts.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [str(folder / name) for name in texts]

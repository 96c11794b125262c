# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the agent's verifier, which came with the artifact, whether the artifact is signed for this host."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import Run

UNSIGNED = (
    "it is unsigned: there is no .sig beside it on the controller; "
    "sign it: make artifact KEY=…, or allow it: tcmicro_allow_unsigned: true"
)


def problem(run: Run, paths: Mapping[str, Any], subject: str, floor: int) -> str:
    """What is wrong with the signature, "" when nothing. `paths` are those of src, signature and verifier."""
    if not paths["signature"]:
        return UNSIGNED
    argv = [sys.executable, "-I", str(paths["verifier"])]
    argv += ["--artifact", str(paths["src"]), "--signature", str(paths["signature"])]
    code, stdout, stderr = run([*argv, "--subject", subject, "--floor", str(floor)])
    answer = _parse(stdout)
    if code == 0 and answer.get("key"):
        return ""
    words = stderr.strip() or stdout.strip()
    unclear = f"the verifier did not answer (exit code {code}): {words}"
    return str(answer.get("problem") or unclear)


def _parse(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}

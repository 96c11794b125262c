"""Documents on stdout, as JSON for machines or tables for eyes."""

from __future__ import annotations

import sys
from typing import Any

from tcmicro_agent.cli import formats
from tcmicro_agent.cli.parts import function
from tcmicro_agent.documents import document
from tcmicro_agent.errors import InputErrors, TcmicroError

# What writes each kind for eyes: module:function, imported when it is needed.
TEXT = {
    "Status": "host_text:status",
    "Explanation": "explain:text",
    "PolicyList": "counters:rules_text",
    "Sessions": "session_text:text",
    "Stats": "host_text:stats",
    "Samples": "samples:text",
    "EventSums": "event_text:sums",
    "PolicyApply": "policy_text:applied",
    "PolicyStage": "staged_text:stage",
    "PolicyShare": "staged_text:stage",
    "PolicyUnstage": "staged_text:unstage",
    "PolicyPromote": "policy_text:applied",
    "PolicyDifferences": "staged_text:differences",
    "PolicyValidation": "diagnostics:text",
    "PolicyFormat": "diagnostics:formatted",
    "PolicyAdd": "local:added_text",
    "PolicyDelete": "local:deleted_text",
    "PolicyImport": "imports:text",
    "PolicyConfirm": "policy_text:outcome",
    "PolicyRenew": "policy_text:outcome",
    "PolicyCommit": "policy_text:outcome",
    "PolicyRevert": "policy_text:outcome",
    "PolicyPull": "pull:text",
    "PolicyPulled": "pull:pulled_text",
    "Preflight": "host_text:preflight",
    "Transactions": "host_text:transactions",
    "Detach": "host_text:done",
    "Restore": "host_text:done",
    "Failsafe": "host_text:done",
    "SessionFlush": "host_text:done",
    "SessionCount": "sessions:count_text",
    "SessionKill": "sessions:kill_text",
    "RuleHits": "counters:hits_text",
    "Interfaces": "about:interfaces_text",
    "Version": "about:version_text",
    "Doctor": "doctor:text",
    "Top": "top:text",
    "Sysdump": "sysdump:text",
    "TraceLatency": "trace:latency_text",
    "TraceDrops": "trace:drops_text",
    "RolloutList": "rollouts:list_text",
    "RolloutRecord": "rollouts:record_text",
    "RolloutReport": "rollouts:report_text",
    "RolloutSaid": "rollouts:said_text",
}


def show(content: dict[str, Any], form: str) -> None:
    """On stdout, in one of `formats.FORMATS`."""
    if problem := content.get("signature", {}).get("problem"):
        print(f"tc-micro: allowed though not signed as it should be: {problem}", file=sys.stderr)
    print(for_eyes(content) if form == "table" else formats.text(content, form))


def show_error(error: TcmicroError, form: str) -> None:
    print(f"tc-micro: {error}", file=sys.stderr)
    if form != "table":
        problems = error.problems if isinstance(error, InputErrors) else []
        body = {
            "type": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "problems": problems,
        }
        print(formats.text(document("Error", error=body), form))


def for_eyes(content: dict[str, Any]) -> str:
    """The document as text: tables and sentences."""
    return str(function(TEXT[content["kind"]])(content))

"""Which module adds which verbs, in the order of the help.

A command imports what its own verb needs and nothing else: of a short one, imports are most of what it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple


class Part(NamedTuple):
    """Verbs below a noun ("": below none) that stand in one module; `adder` is module:function of this room."""

    noun: str
    verbs: tuple[str, ...]
    adder: str

    def is_called_by(self, words: Sequence[str]) -> bool:
        """Whether a command line that begins so is one of these verbs."""
        said = words[:2] if self.noun else ("", *words[:1])
        return len(said) > 1 and said[0] == self.noun and said[1] in self.verbs


NOUNS = {
    "policy": "what this host enforces, and policies as people write them",
    "rule": "which rules decide, and which never do",
    "session": "tracked flows",
    "stats": "counters",
    "event": "what the kernel decides, as it decides it",
    "txn": "changes that wait to be confirmed, or did last",
    "failsafe": "what stays open whatever policy says",
    "rollout": "rollouts of this controller: look, hold, approve, abort",
    "trace": "flows by process, time in our programs, drops by the kernel",
}
OUTCOMES = ("confirm", "renew", "commit", "revert")
PARTS = (
    Part("", ("status", "preflight"), "host:add_looking_verbs"),
    Part("", ("doctor",), "doctor:add_verb"),
    Part("", ("explain",), "explain:add_verb"),
    Part("", ("interfaces", "version"), "about:add_verbs"),
    Part("", ("top",), "top:add_verb"),
    Part("", ("samples",), "samples:add_verb"),
    Part("", ("sysdump",), "sysdump:add_verb"),
    Part("", ("completion",), "completion:add_verb"),
    Part("", ("run", "restore", "detach"), "running:add_verbs"),
    Part("policy", ("apply",), "apply:add_verb"),
    Part("policy", OUTCOMES, "probation:add_verbs"),
    Part("policy", ("pull", "pulled"), "pull:add_verbs"),
    Part("policy", ("list",), "counters:add_policy_verbs"),
    Part("policy", ("stage", "share", "unstage", "promote", "differences"), "staged:add_verbs"),
    Part("policy", ("validate", "fmt"), "authoring:add_verbs"),
    Part("policy", ("explain", "test", "diff", "describe", "graph"), "answers:add_verbs"),
    Part("policy", ("add", "delete"), "local:add_verbs"),
    Part("policy", ("import",), "imports:add_verb"),
    Part("rule", ("hits",), "counters:add_rule_verbs"),
    Part("session", ("list", "count", "flush", "kill"), "sessions:add_verbs"),
    Part("stats", ("show",), "counters:add_stats_verbs"),
    Part("event", ("follow", "sums"), "events:add_verbs"),
    Part("txn", ("show",), "host:add_txn_verbs"),
    Part("txn", OUTCOMES, "probation:add_verbs"),
    Part("failsafe", ("set",), "host:add_failsafe_verbs"),
    Part(
        "rollout",
        ("list", "show", "watch", "report", "pause", "resume", "approve", "abort"),
        "rollouts:add_verbs",
    ),
    Part("trace", ("flows", "latency", "drops"), "trace:add_verbs"),
)


def function(place: str) -> Any:
    """The function at module:function of this room; its module is imported for it."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"tcmicro_agent.cli.{module}"), name)

"""`tc-micro rollout …`: look at the rollouts of this controller, from a second terminal, and speak to them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tcmicro_agent.cli.arguments import Adder
from tcmicro_agent.cli.results import NEGATIVE, Result
from tcmicro_agent.cli.table import table
from tcmicro_agent.documents import document

OPEN = ("running", "stopping")
CLEAR = "\x1b[H\x1b[2J"
EXAMPLES = """The newest rollout is meant where no ID is given. The journal is .rollouts beside the inventory of
ansible.cfg, or the folder given with --dir. A rollout hears what is said to it between two steps: pause holds it
before the next wave, abort takes every touched host back.

exit codes: 0 done; of show and watch: succeeded or under way   3 refused; of show and watch: it did not succeed
            6 there is no such rollout

examples:
  tc-micro rollout list
  tc-micro rollout watch
  tc-micro rollout pause --why "incident 4711"
  tc-micro rollout approve 20261121-140233-9f3c --wave 3
  tc-micro rollout report --out /tmp/rollout && xdg-open /tmp/rollout/report.html
"""
WORDS = {
    "pause": "hold it before the next wave",
    "resume": "let it go on",
    "approve": "let it change a wave that waits for approval",
    "abort": "stop it; every host that was touched goes back",
}


def add_verbs(add: Adder) -> None:
    listing = _add(add, "list", rollout_list, "the newest rollouts")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="default: 20")
    for name, verb, text in (
        ("show", rollout_show, "how one stands or ended"),
        ("watch", rollout_watch, "follow one until it ends (--json: an event a line)"),
        ("report", rollout_report, "write its report: Markdown, HTML, JUnit, JSON"),
    ):
        _add(add, name, verb, text).add_argument("id", nargs="?", default="", metavar="ID")
    for word, text in WORDS.items():
        speak = _add(add, word, rollout_say, text)
        speak.set_defaults(word=word, wave=0)
        speak.add_argument("id", nargs="?", default="", metavar="ID")
        speak.add_argument("--why", default="", metavar="TEXT", help="for the journal")
        if word == "approve":
            speak.add_argument("--wave", type=int, metavar="N", help="default: every one to come")


def _add(add: Adder, name: str, verb: object, text: str) -> argparse.ArgumentParser:
    made = add(name, verb, text)
    made.epilog = EXAMPLES
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--dir", type=Path, metavar="FOLDER", help="the journal's folder")
    if name == "report":
        made.add_argument("--out", type=Path, metavar="FOLDER", help="default: beside the journal")
    if name == "watch":
        made.add_argument("--interval", type=float, default=2.0, metavar="S", help="default: 2")
    return made


def rollout_list(args: argparse.Namespace) -> Result:
    from tcmicro_agent.workspace import rollouts

    with rollouts.opened(rollouts.journal_folder(args.dir)) as journal:
        found = rollouts.listed(journal, args.limit)
    return document("RolloutList", rollouts=found), 0


def list_text(doc: dict[str, Any]) -> str:
    rows = [
        (r["id"], r["subject"], r["state"], _clock(r["started"]), r["why"]) for r in doc["rollouts"]
    ]
    return table(("id", "subject", "state", "started", "why"), rows)


def rollout_show(args: argparse.Namespace) -> Result:
    found = _record(args)
    return found, _code(found)


def record_text(doc: dict[str, Any]) -> str:
    from tcmicro_agent.workspace import rollouts

    return rollouts.text(doc)


def rollout_watch(args: argparse.Namespace) -> Result:
    """Until the rollout has ended."""
    told = 0
    for found in _looks(args):
        news, told = found["events"][told:], len(found["events"])
        if args.json:
            lines = [json.dumps(event) for event in news]
        elif sys.stdout.isatty():
            lines = [CLEAR + record_text(found)]
        else:
            lines = [f"{_clock(e['time'])}  {e['kind']:<20} {e['text']}" for e in news]
        if lines:
            print("\n".join(lines), flush=True)
    return {}, _code(found)


def _looks(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One record after another; the last one is of a rollout that has ended."""
    from tcmicro_agent.workspace import rollouts

    reading = rollouts.unread()
    while True:
        found = _record(args, reading)
        args.id = found["id"]
        yield found
        if found["state"] not in OPEN:
            return
        time.sleep(args.interval)


def rollout_report(args: argparse.Namespace) -> Result:
    from tcmicro_agent.workspace import rollouts

    found = _record(args)
    folder = args.out or rollouts.journal_folder(args.dir) / found["id"]
    written = [str(path) for path in rollouts.written(found, folder)]
    return document("RolloutReport", id=found["id"], written=written), 0


def report_text(doc: dict[str, Any]) -> str:
    return "\n".join(doc["written"])


def rollout_say(args: argparse.Namespace) -> Result:
    from tcmicro_agent.workspace import rollouts

    with rollouts.opened(rollouts.journal_folder(args.dir)) as journal:
        rollout = rollouts.newest(journal, args.id)
        said = rollouts.say(journal, rollout, args.word, args.why, args.wave)
    return document("RolloutSaid", **said), 0


def said_text(doc: dict[str, Any]) -> str:
    return f"{doc['id']}: {doc['said']}"


def _record(args: argparse.Namespace, reading: Any = None) -> dict[str, Any]:
    from tcmicro_agent.workspace import rollouts

    with rollouts.opened(rollouts.journal_folder(args.dir)) as journal:
        return rollouts.record(journal, rollouts.newest(journal, args.id), reading)


def _code(found: dict[str, Any]) -> int:
    return 0 if found["state"] in ("succeeded", *OPEN) else NEGATIVE


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))

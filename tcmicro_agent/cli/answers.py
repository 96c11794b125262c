"""What policies mean, asked without root and without a host: `tc-micro policy explain|test|diff|describe|graph`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcmicro_agent.cli import answers_describe, answers_diff, answers_graph
from tcmicro_agent.cli.answers_output import add_inventory, answer, examples, paint
from tcmicro_agent.cli.answers_source import load, load_tests
from tcmicro_agent.cli.results import NEGATIVE, Result
from tcmicro_agent.cli.table import table
from tcmicro_agent.documents import document

if TYPE_CHECKING:
    from tcmicro_agent.policy.explanation.answers import Question
    from tcmicro_agent.policy.explanation.cases import Result as CaseResult

Adder = Callable[[str, object, str], argparse.ArgumentParser]
UNDECIDABLE = 4
EXPLAIN_EXAMPLES = """SRC and DST are a host, group:NAME or an address; DST with its port, as [fd00::7]:53/udp.
What a policy in mode monitor refuses counts as denied: it is what would be.

exit codes: 0 allowed   3 denied   4 undecidable: hosts of a group differ, or a host has no address   6 invalid input

examples:
  tc-micro policy explain web1 db1:5432/tcp -i inventories/prod
  tc-micro policy explain group:web group:db:5432/tcp -i inventories/prod -p policies
  tc-micro policy explain 192.0.2.7 web1:443/tcp -i inventories/prod --at 2026-12-24T18:00:00Z
"""
TEST_EXAMPLES = """Documents of kind PolicyTest among the policies say what must be allowed and what must not.

exit codes: 0 all cases hold   3 some do not   6 invalid input, or no PolicyTest at all

examples:
  tc-micro policy test -i inventories/prod
  tc-micro policy test policies tests/policies -i inventories/prod --junit policy-tests.xml
"""


def add_verbs(add: Adder) -> None:
    explain = add(
        "explain", policy_explain, "may one end reach another, by which rule, and if not why"
    )
    examples(explain, EXPLAIN_EXAMPLES)
    explain.add_argument("source", metavar="SRC")
    explain.add_argument("target", metavar="DST:PORT/PROTO")
    add_inventory(explain, policies=True)
    test = add("test", policy_test, "run the PolicyTests among the policies")
    examples(test, TEST_EXAMPLES)
    test.add_argument("policies", nargs="*", type=Path, metavar="PATH", help="as for validate")
    test.add_argument("--junit", type=Path, metavar="FILE", help="write a JUnit report")
    add_inventory(test)
    answers_diff.add_verbs(add)
    answers_describe.add_verbs(add)
    answers_graph.add_verbs(add)


def policy_explain(args: argparse.Namespace) -> Result:
    from tcmicro_agent.policy.explanation import explain_text
    from tcmicro_agent.policy.explanation.explain import explain
    from tcmicro_agent.policy.reach.naming import Naming

    question = _question(args.source, args.target)
    here = load(args)
    [found] = explain([question], here.policies, here.inventory, args.at or time.time())
    doc = document("PolicyExplanation", **explain_text.document(found))
    code = {"allow": 0, "deny": NEGATIVE}.get(doc["verdict"], UNDECIDABLE)
    text = explain_text.text(found, Naming(here.inventory))
    return answer(args, doc, paint(text), code)


def _question(source: str, target: str) -> Question:
    from tcmicro_agent.policy.explanation.question import parse_question

    try:
        return parse_question(source, target)
    except ValueError as exc:
        print(f"tc-micro policy explain: {exc}", file=sys.stderr)
        raise SystemExit(2) from None


def policy_test(args: argparse.Namespace) -> Result:
    from tcmicro_agent.policy.explanation import cases
    from tcmicro_agent.policy.reach.naming import Naming

    here = load(args)
    tests = load_tests(here)
    results = cases.run(tests, here.policies, here.inventory, args.at or time.time())
    naming = Naming(here.inventory)
    if args.junit:
        args.junit.write_bytes(cases.junit(results, naming))
    failed = sum(not result.passed for result in results)
    rows = [_row(result) for result in results]
    doc = document("PolicyTestResults", tests=len(results), failed=failed, results=rows)
    return answer(args, doc, _test_text(results, naming), NEGATIVE if failed else 0)


def _row(result: CaseResult) -> dict[str, Any]:
    from tcmicro_agent.policy.explanation import explain_text

    return {
        "test": result.test,
        "case": result.name,
        "source": result.place,
        "expect": result.case.expect.value,
        "got": result.got,
        "ok": result.passed,
        "explanation": explain_text.document(result.found),
    }


def _test_text(results: list[CaseResult], naming: Any) -> str:
    """The table, and below it the explanation of each case that does not hold."""
    from tcmicro_agent.policy.explanation import explain_text

    rows = [
        ("ok" if r.passed else "FAILED", r.test, r.name, r.case.expect.value, r.got, r.place)
        for r in results
    ]
    failed = [result for result in results if not result.passed]
    parts = [table(("", "TEST", "CASE", "EXPECTED", "IS", "SOURCE"), rows)]
    for result in failed:
        head = f"{result.place}: expected {result.case.expect.value}, is {result.got}"
        parts.append(f"{head}\n{explain_text.text(result.found, naming)}")
    parts.append(f"{len(results)} cases, {len(failed)} failed")
    return paint("\n\n".join(parts))

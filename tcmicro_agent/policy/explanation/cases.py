"""Documents of kind PolicyTest, run over policies and an inventory: what each case expects and what is so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from tcmicro_agent.policy.explanation.answers import Explanation, Question
from tcmicro_agent.policy.explanation.explain import explain
from tcmicro_agent.policy.explanation.explain_text import service_asked, text
from tcmicro_agent.policy.intent import Case, End, EndKind, Policy, PolicyTest
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.reach.naming import Naming


@dataclass(frozen=True)
class Result:
    """One case of a test; it fails too where hosts of a group differ or nothing can be decided."""

    test: str
    case: Case
    found: Explanation

    @property
    def passed(self) -> bool:
        return self.found.verdict is self.case.expect

    @property
    def name(self) -> str:
        ends = end_text(self.case.source), end_text(self.case.target)
        return f"{ends[0]} -> {ends[1]} {service_asked(self.case.service)}"

    @property
    def got(self) -> str:
        return self.found.verdict.value if self.found.verdict else "undecidable"

    @property
    def place(self) -> str:
        return f"{self.case.where.file}:{self.case.where.line}"


def run(
    tests: Iterable[PolicyTest], policies: Sequence[Policy], inventory: Inventory, now: float
) -> list[Result]:
    """The result of every case, in order. PolicyError where a name does not exist."""
    cases = [(test.name.text, case) for test in tests for case in test.cases]
    questions = [Question(case.source, case.target, case.service) for _, case in cases]
    found = explain(questions, policies, inventory, now)
    return [Result(test, case, answer) for (test, case), answer in zip(cases, found)]


def end_text(end: End) -> str:
    return f"group:{end.name.text}" if end.kind is EndKind.GROUP else end.name.text


def junit(results: Sequence[Result], naming: Naming) -> bytes:
    """A JUnit report: one suite per PolicyTest, the explanation in each failure."""
    root = ET.Element("testsuites", _counts(results))
    for name in dict.fromkeys(result.test for result in results):
        mine = [result for result in results if result.test == name]
        suite = ET.SubElement(root, "testsuite", {"name": name, **_counts(mine)})
        for result in mine:
            _testcase(suite, result, naming)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _testcase(suite: ET.Element, result: Result, naming: Naming) -> None:
    where = result.case.where
    place = {"classname": result.test, "file": where.file, "line": str(where.line)}
    case = ET.SubElement(suite, "testcase", {"name": result.name, **place})
    if not result.passed:
        message = f"expected {result.case.expect.value}, is {result.got}"
        failure = ET.SubElement(case, "failure", {"message": message, "type": "verdict"})
        failure.text = text(result.found, naming)


def _counts(results: Sequence[Result]) -> dict[str, str]:
    failed = sum(not result.passed for result in results)
    return {"tests": str(len(results)), "failures": str(failed), "errors": "0"}

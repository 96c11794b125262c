# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as JUnit XML: one case per gate and wave, so that a CI server shows which gate stopped a rollout. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import (
    Finding,
    Record,
    Wave,
)

ELEMENTS = {"fail": "failure", "inconclusive": "failure", "error": "error"}


def junit(record: Record) -> str:
    """XML text. A wave that was not judged is a skipped case."""
    suites = ElementTree.Element("testsuites", name=record.headline())
    for wave in record.waves:
        suite = ElementTree.SubElement(suites, "testsuite", name=f"wave {wave.number}")
        cases = list(_cases(wave))
        suite.extend(cases)
        suite.set("tests", str(len(cases)))
        for kind in ("failure", "error", "skipped"):
            count = sum(case.find(kind) is not None for case in cases)
            suite.set({"failure": "failures", "error": "errors"}.get(kind, kind), str(count))
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _cases(wave: Wave) -> Iterator[ElementTree.Element]:
    if not wave.findings:
        yield _whole(wave)
    for finding in wave.findings:
        case = _case(wave, f"{finding.level} {finding.metric}".strip(), finding.host)
        kind = ELEMENTS.get(finding.outcome) if finding.enforce else None
        if kind:
            ElementTree.SubElement(case, kind, message=_said(finding))
        yield case


def _whole(wave: Wave) -> ElementTree.Element:
    case = _case(wave, "gate", "")
    if wave.outcome in ELEMENTS:
        ElementTree.SubElement(case, ELEMENTS[wave.outcome], message=f"the wave is {wave.outcome}")
    elif wave.outcome != "pass":
        ElementTree.SubElement(case, "skipped", message=wave.outcome)
    return case


def _case(wave: Wave, name: str, host: str) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=f"wave{wave.number}", name=f"{name} {host}".strip()
    )
    case.set("time", f"{wave.seconds or 0:.1f}")
    return case


def _said(finding: Finding) -> str:
    return f"{finding.host}: {finding.text}" if finding.host else finding.text

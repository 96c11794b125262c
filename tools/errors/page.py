"""The page of every code, from the catalogue and what `tc-micro policy validate` says to each example."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tcmicro_agent.cli.main import main as tc_micro
from tcmicro_agent.policy.catalogue import ADVICE, PAGE
from tcmicro_agent.policy.codes import Code
from tools.errors.examples import EXAMPLES, FILE, HOSTS, Example

ROOT = Path(__file__).resolve().parents[2]

INTRODUCTION = f"""\
# Errors and warnings in policies

What `tc-micro policy validate` and the plays say, by code. A code keeps its meaning for ever; TCM2007 is given no more.
An error keeps bundles from being made; a warning says what is probably not meant (`--strict` makes it an error,
`--ignore CODE` leaves it out). The codes from TCM2001 on need the inventory (`-i`).

Each example is `{FILE}` as a whole, and below it what `tc-micro policy validate -i hosts.yml` says to it. Where nothing
else is shown, `hosts.yml` is this:

```yaml
{HOSTS}```

Written by `make format` from `tcmicro_agent/policy/catalogue.py` and `tools/errors/examples.py`: change it there.

| code | severity | meaning |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(map(_row, Code)) + "".join(map(_section, Code))


def said(example: Example, top: Path) -> str:
    """What the command line says to the example in that empty directory."""
    for name, text in ((FILE, example.policy), ("hosts.yml", example.hosts)):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(text)
    out = io.StringIO()
    arguments = ["policy", "validate", "-i", "hosts.yml", *example.arguments]
    with _standing(top), contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        tc_micro(arguments)
    return out.getvalue()


def write() -> None:
    (ROOT / PAGE).write_text(page())


def _row(code: Code) -> str:
    return f"| [`{code.value}`](#{code.value.lower()}) | {code.severity.value} | {code.title} |\n"


def _section(code: Code) -> str:
    example, advice = EXAMPLES[code], ADVICE[code]
    with tempfile.TemporaryDirectory() as top:
        found = said(example, Path(top))
    parts = [
        f'\n<a id="{code.value.lower()}"></a>\n## {code.value}: {code.title}\n',
        f"**Why.** {advice.why}\n",
        f"**What to do.** {advice.fix}\n",
        _block("yaml", example.policy),
    ]
    if example.hosts != HOSTS:
        parts.append(_block("yaml", f"# hosts.yml\n{example.hosts}"))
    if example.arguments:
        found = f"$ tc-micro policy validate -i hosts.yml {' '.join(example.arguments)}\n{found}"
    return "\n".join([*parts, _block("text", found)])


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


@contextlib.contextmanager
def _standing(directory: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)

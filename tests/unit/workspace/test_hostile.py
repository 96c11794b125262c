"""Whatever stands in a file, the way from it to what is printed ends soon, with a clear error and never a traceback."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmicro_agent.cli import diagnostics, sarif
from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.layout import canonical
from tcmicro_agent.policy.problems import PolicyFaults
from tcmicro_agent.policy.source import parse_documents
from tcmicro_agent.policy.source.nodes import MAX_LENGTH
from tcmicro_agent.workspace import read_files

ROOT = Path(__file__).resolve().parents[3]
POLICY = (ROOT / "inventories/example/policies/shop.yml").read_text()
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}]\n" for last, name in pairwise("abcdefghi")
)


def repeated(size: int) -> dict[str, bytes]:
    """Texts of about that many bytes that are one thing over and over."""
    return {
        "deep": b"[" * size,
        "deep keys": b"? " * (size // 2),
        "huge scalar": b"a: " + b"x" * size,
        "many tags in a line": b"a: [" + b"!t x, " * (size // 6) + b"]",
        "many unknown keys": "".join(f"k{n}: 1\n" for n in range(size // 12)).encode(),
        "many documents": b"---\na: 1\n" * (size // 9),
        "many comments": b"#\n" * (size // 2),
        "many comments in a list": b"a:\n" + b"- x #\n" * (size // 6),
        "many empty lines": b"a: 1" + b"\n" * size + b"b: 2",
        "many items in a line": b"ports: [" + b"tcp/0," * (size // 6) + b"]",
    }


HOSTILE = {
    "billion laughs": LAUGHS.encode(),
    "huge file": b"a: " + b"x" * 64 * MAX_LENGTH,
    **repeated(2000),
    "nul": b"a: \x00",
    "utf-16": POLICY.encode("utf-16"),
    "latin-1": b"a: \xe9",
    "overlong utf-8": b"a: \xc0\xaf",
    "surrogates": b"a: \xed\xa0\x80",
    "terminal escapes": b"a: \x1b]0;gone\x07",
    "right to left": "a: \u202eevil\nmode: \u202e".encode(),
    "odd line breaks": "a: b\x85c: \u2028d: [\u2029".encode(),
    "binary": bytes(random.Random(1).randrange(256) for _ in range(5000)),
    "elf": b"\x7fELF\x02\x01\x01" + bytes(500),
    "only a mark": "\ufeff".encode(),
}


def said(data: bytes, directory: Path) -> list[str]:
    """What is printed about a file with these bytes, in every form there is."""
    path = directory / "p.yml"
    path.write_bytes(data)
    files = read_files([path])
    faults = []
    for work in (lambda: parse_documents(files.texts.items()), lambda: reformatted(files.texts)):
        try:
            work()
        except PolicyFaults as exc:
            faults += exc.faults
    rows = diagnostics.rows(faults, files.texts, files.paths)
    json.dumps(sarif.log(rows))
    text = diagnostics.text(diagnostics.validation(rows, CHECKED))
    assert len(json.dumps(rows)) < 1000 * (len(rows) + 1)
    return text.splitlines()


CHECKED = {"files": 1, "policies": 0, "inventories": [], "hosts": None}


def reformatted(texts) -> None:
    for name, text in texts.items():
        once = canonical(name, text)
        assert canonical(name, once) == once


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_end_in_plain_words(name, tmp_path):
    lines = said(HOSTILE[name], tmp_path)
    assert all(line.isprintable() and len(line) < 600 for line in lines)
    harmless = ("many comments", "many empty lines", "only a mark")
    if name not in harmless[:1] + harmless[2:]:
        assert any(" error TCM1" in line for line in lines)


@pytest.mark.parametrize("name", ["many unknown keys", "many items in a line"])
def test_the_longest_text_needs_bounded_time_and_memory(name, tmp_path):
    """In a process of its own, held to 60 s of CPU and 1 GiB by the kernel."""
    (tmp_path / "p.yml").write_bytes(repeated(MAX_LENGTH - 100)[name])
    program = (
        "import resource as r, sys\n"
        "r.setrlimit(r.RLIMIT_CPU, (60, 60))\nr.setrlimit(r.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from tcmicro_agent.cli import main\nsys.exit(main(['policy', *sys.argv[1:]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "validate", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (6, "")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_end_in_plain_words(data):
    with tempfile.TemporaryDirectory() as directory:
        assert all(line.isprintable() for line in said(data, Path(directory)))


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_damage_ends_in_plain_words(chance):
    data = bytearray(POLICY.encode())
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data))
        data[at : at + chance.randint(0, 5)] = chance.choice(
            [
                b"",
                b"[",
                b"}",
                b": ",
                b"\n",
                b"- ",
                b"#",
                b" #",
                b"\t",
                b"\xff",
                b"|\n",
                b'"',
                b"---\n",
            ]
        )
    with tempfile.TemporaryDirectory() as directory:
        assert all(line.isprintable() for line in said(bytes(data), Path(directory)))


def test_an_error_is_a_policy_error(tmp_path):
    (tmp_path / "p.yml").write_bytes(b"\xff")
    with pytest.raises(PolicyError):
        parse_documents(read_files([tmp_path]).texts.items())

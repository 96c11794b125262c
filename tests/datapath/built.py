"""Small programs that tests load beside ours, compiled when they are asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.compile_bpf import compile_object

ROOT = Path(__file__).resolve().parents[2]


def built(program: str) -> Path:
    """The object of a program below tests/datapath. Guests of `make test-kernels` bring it along: no compiler."""
    source = f"tests/datapath/{program}"
    target = ROOT / "build" / f"{Path(program).name.removesuffix('.c')}.o"
    return compile_object(ROOT, target, source) if shutil.which("clang") else target

"""Which release this code is part of."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # <release>/lib/tcmicro_agent/release.py


def object_path() -> Path:
    return ROOT / "tcmicro.bpf.o"

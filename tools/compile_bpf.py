"""`make bpf`: compile the kernel programs into one object, the same bytes from any directory."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from tools.process import ToolError, run

ROOT = Path(__file__).resolve().parents[1]
OBJECT = ROOT / "build" / "tcmicro.bpf.o"
BY_BCC = ("flows.c", "drops.c")

# -mcpu=v3: 32-bit registers and jumps, in every kernel from 5.1 on.
FLAGS = ("-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Ibpf")


def compile_object(source: Path, target: Path, program: str = "bpf/tcmicro.bpf.c") -> Path:
    """Compile a program of a checkout; debug sections go, BTF stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    headers = f"-I/usr/include/{sysconfig.get_config_var('MULTIARCH')}"
    places = (f"-fdebug-prefix-map={source}=.", "-fdebug-compilation-dir=.")
    try:
        argv = ["clang", *FLAGS, headers, *places, "-c", program, "-o", str(draft)]
        run(argv, cwd=source)
        run(["llvm-strip", "-g", str(draft)])
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def trace_files(source: Path, target: Path) -> list[Path]:
    """What `tc-micro trace` loads, below `target`/trace: one program compiled here, two by bcc on the host."""
    folder = target / "trace"
    compiled = compile_object(source, folder / "latency.bpf.o", "bpf/trace/latency.bpf.c")
    for name in BY_BCC:
        shutil.copyfile(source / "bpf/trace" / name, folder / name)
    return [compiled, *(folder / name for name in BY_BCC)]


def main() -> int:
    try:
        built = [compile_object(ROOT, OBJECT), *trace_files(ROOT, OBJECT.parent)]
        print(f"built {', '.join(str(path.relative_to(ROOT)) for path in built)}")
    except ToolError as exc:
        print(f"bpf: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

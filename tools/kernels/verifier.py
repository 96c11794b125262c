"""What this kernel's verifier says of each program of an object, as JSON. Runs in every guest and on this machine.

Programs are loaded one at a time, so that one that is refused hides no other. Nothing is pinned or attached.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

from tcmicro_agent.datapath import libbpf
from tools.kernels.figures import processed

LOG_STATS = 4  # BPF_LOG_STATS: errors and totals, without every instruction
LOG_SIZE = 1 << 20


def verify(path: Path, name: str) -> tuple[bool, str]:
    """Loads one program of an object: whether the kernel takes it, and its log."""
    lib = libbpf.library()
    handle = lib.bpf_object__open_file(str(path).encode(), None)
    log = ctypes.create_string_buffer(LOG_SIZE)
    for other, pointer in libbpf._named(handle, "program").items():
        lib.bpf_program__set_autoload(pointer, ctypes.c_bool(other == name))
        if other == name:
            lib.bpf_program__set_log_buf(pointer, log, ctypes.c_size_t(LOG_SIZE))
            lib.bpf_program__set_log_level(pointer, ctypes.c_uint32(LOG_STATS))
    code = lib.bpf_object__load(ctypes.c_void_p(handle))
    lib.bpf_object__close(ctypes.c_void_p(handle))
    text = log.value.decode(errors="replace").strip()
    return code >= 0, text or f"{os.strerror(-code)}: {libbpf._last_log()}"


def names(path: Path) -> list[str]:
    """The programs of an object."""
    handle = libbpf.library().bpf_object__open_file(str(path).encode(), None)
    if not handle:
        raise SystemExit(f"verifier: {path}: cannot be opened as a BPF object; run 'make bpf'")
    found = list(libbpf._named(handle, "program"))
    libbpf.library().bpf_object__close(ctypes.c_void_p(handle))
    return found


def measure(path: Path) -> dict[str, object]:
    """`insns` of every program that is taken, the log of every one that is `refused`."""
    insns: dict[str, int] = {}
    refused: dict[str, str] = {}
    for name in names(path):
        taken, log = verify(path, name)
        if taken:
            insns[name] = processed(log)
        else:
            refused[name] = log
    return {"release": os.uname().release, "insns": insns, "refused": refused}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))

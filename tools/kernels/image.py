"""What a guest boots into: one initramfs of a Debian userland, a kernel's modules and this checkout. No disk."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from tools.process import ToolError, run

PACKAGES = (
    *("python3", "libbpf1", "bpftool", "iproute2", "nftables", "ethtool"),
    *("iputils-ping", "kmod", "procps", "util-linux", "wireguard-tools"),
)
UNNEEDED = ("doc", "man", "locale", "info", "lintian", "zoneinfo")
LEFT_OUT = (
    "./var/lib/apt",
    "./var/lib/dpkg",
    "./var/cache",
    "./usr/lib/*/perl",
    "./usr/share/perl*",
    "./usr/lib/*/gconv",
)
# What of a checkout the tests read, and the distributions they import.
CHECKOUT = (
    *("tcmicro_agent", "tests", "tools", "bpf", "pyproject.toml"),
    "roles/tcmicro_drill/files",
)
DISTRIBUTIONS = ("pytest", "hypothesis", "prometheus-client", "pyroute2", "PyYAML")


def pack(folder: Path, target: Path, without: Sequence[str] = ()) -> None:
    """Writes a folder as a cpio archive that the kernel unpacks over its root."""
    prune = " ".join(f"-path '{path}' -prune -o" for path in without)
    script = f'find . {prune} -print0 | cpio --null --create --format=newc --quiet >"$0"'
    run(["bash", "-euo", "pipefail", "-c", script, str(target)], cwd=folder)


def join(parts: Iterable[Path], target: Path) -> None:
    """One initramfs of several archives: the kernel takes them as they follow each other."""
    with target.open("wb") as joined:
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, joined, 1 << 20)


# --- the userland ---


def bootstrap_argv(
    target: Path,
    suite: str,
    sources: Iterable[str],
    options: Iterable[str],
    packages: Iterable[str],
) -> list[str]:
    return [
        *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory"),
        f"--include={','.join(packages)}",
        *(f"--aptopt={line}" for line in options),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNNEEDED),
        *(suite, str(target), *sources),
    ]


def userland(target: Path, argv: Sequence[str], tree: Path) -> None:
    """Builds the archive of a Debian userland at `target`; `argv` makes its tree at `tree`."""
    try:
        run(argv, timeout=900)
    except ToolError as exc:
        last = "\n".join(str(exc).splitlines()[-8:])
        raise ToolError(f"the userland of the guests cannot be built:\n{last}") from exc
    draft = target.with_suffix(".partial")
    pack(tree, draft, LEFT_OUT)
    draft.rename(target)


# --- the checkout ---


def distributions(wanted: Iterable[str]) -> Iterator[metadata.Distribution]:
    """Installed distributions and all they need, each once; what is for other systems is not installed here."""
    seen: set[str] = set()
    pending = list(wanted)
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name in wanted:
                raise ToolError(f"{name} is not in this environment; run 'make setup'") from None
            continue
        yield found
        pending += [required(line) for line in found.requires or [] if "extra ==" not in line]


def required(line: str) -> str:
    """The name in a requirement like `pluggy<2,>=1.5`."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
    if found is None:
        raise ToolError(f"{line!r} names no distribution")
    return found[0]


def checkout_files(root: Path) -> Iterator[Path]:
    """Every file a guest needs to run this checkout's tests, by its path here, which is its path there."""
    for name in CHECKOUT:
        path = root / name
        yield from path.rglob("*") if path.is_dir() else [path]
    yield from (root / "build").glob("*.bpf.o")
    yield from (root / "build/trace").glob("*.[co]")
    yield root / ".venv/pyvenv.cfg"
    yield from (root / ".venv/lib").glob("python*/site-packages/tcmicro.pth")
    for found in distributions(DISTRIBUTIONS):
        yield from (Path(str(found.locate_file(file))) for file in found.files or [])


def checkout(root: Path, init: Path, settings: str, target: Path) -> None:
    """Writes the archive of a checkout with its environment; `settings` are shell lines that `init` reads.

    The sources are compiled: every start of an agent would do it again.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="checkout-") as work:
        tree = Path(work)
        for path in checkout_files(root):
            if path.is_file():
                inside = tree / str(path.resolve()).lstrip("/")
                inside.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, inside)
        programs = tree / str(root / ".venv/bin").lstrip("/")
        programs.mkdir(parents=True, exist_ok=True)
        (programs / "python").symlink_to("/usr/bin/python3")
        run([sys.executable, "-m", "compileall", "-q", "-s", str(tree), "-p", "/", str(tree)])
        shutil.copy(init, tree / "init")
        (tree / "init").chmod(0o755)
        (tree / "settings").write_text(settings)
        pack(tree, target)

"""`make artifact`: one file with everything a fleet host needs. Nothing is compiled or downloaded there."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tools import archive, shell, signature, vendor
from tools.compile_bpf import compile_object, trace_files
from tools.process import ToolError

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
LAUNCHER = "bin/tc-micro"
UNITS = "tcmicro_agent/units"
VERSION_FORM = re.compile(r"\d+\.\d+\.\d+[0-9A-Za-z.+]*")


def constant(path: Path, pattern: str) -> int:
    """A number that another file defines, so that it is written down once."""
    found = re.search(pattern, path.read_text(), re.MULTILINE)
    if found is None:
        raise ToolError(f"{path}: no line like {pattern}")
    return int(found[1])


def agent_package(source: Path, version: str) -> dict[str, bytes]:
    """The agent's own modules below lib/, with the release number written in."""
    package = source / "tcmicro_agent"
    names = [path.relative_to(source) for path in package.rglob("*.py")]
    files = {str(name): (source / name).read_bytes() for name in names}
    number = re.sub(
        r'(?m)^VERSION = ".*"$', f'VERSION = "{version}"', (package / "version.py").read_text()
    )
    return {**files, "tcmicro_agent/version.py": number.encode()}


def kernel_objects(source: Path) -> dict[str, bytes]:
    """The programs, and what `tc-micro trace` loads."""
    with tempfile.TemporaryDirectory(prefix="tcmicro-bpf-") as folder:
        top = Path(folder)
        built = [compile_object(source, top / "tcmicro.bpf.o"), *trace_files(source, top)]
        return {str(path.relative_to(top)): path.read_bytes() for path in built}


def manifest(source: Path, version: str, files: Mapping[str, bytes]) -> bytes:
    document = {
        "name": "tcmicro",
        "version": version,
        "abi": constant(source / "bpf/abi.h", r"^#define TCM_ABI (\d+)"),
        "arch": platform.machine(),
        "bundle_schema": constant(
            source / "tcmicro_agent/policy/model.py", r"^BUNDLE_SCHEMA = (\d+)"
        ),
        "files": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def release_tree(source: Path, version: str) -> dict[str, bytes]:
    """Every file of a release, by its path below /opt/tcmicro/releases/<version>."""
    library = {
        **vendor.packages(source / "requirements/agent.lock", BUILD / "vendor"),
        **agent_package(source, version),
    }
    files = {
        LAUNCHER: (source / "tools/launcher.py").read_bytes(),
        **{path.name: path.read_bytes() for path in sorted((source / UNITS).iterdir())},
        **kernel_objects(source),
        **shell.files(version),
        "LICENSE": (source / "LICENSE").read_bytes(),
        **{f"lib/{name}": content for name, content in library.items()},
    }
    return {**files, "manifest.json": manifest(source, version, files)}


def build(source: Path, version: str, target: Path = BUILD) -> Path:
    """Write tcmicro-<version>-<arch>.tar.gz and its .sha256; the same inputs give the same bytes."""
    if not VERSION_FORM.fullmatch(version):
        raise ToolError(f"version {version!r} is not like 1.2.3 or 1.2.3rc1")
    if not (source / "bpf/tcmicro.bpf.c").is_file():
        raise ToolError(f"{source} is no checkout of tcmicro")
    content = archive.pack(
        f"tcmicro-{version}", release_tree(source, version), frozenset({LAUNCHER})
    )
    path = target / f"tcmicro-{version}-{platform.machine()}.tar.gz"
    target.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_name(f"{path.name}.sig").unlink(missing_ok=True)  # it was another content's
    sums = f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"
    path.with_name(f"{path.name}.sha256").write_text(sums)
    return path


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make artifact", description=__doc__)
    parser.add_argument("--version", required=True, help="release number, like 1.2.3")
    parser.add_argument("--source", type=Path, default=ROOT, help="checkout to build from")
    parser.add_argument("--key", type=Path, help="sign with this key")
    parser.add_argument(
        "--days", type=int, default=signature.VALID_DAYS, help="the signature is good"
    )
    options = parser.parse_args(argv)
    try:
        path = build(options.source.resolve(), options.version)
        signed = signature.sign(path, options.key, options.days) if options.key else None
    except ToolError as exc:
        print(f"artifact: {exc}", file=sys.stderr)
        return 1
    print(path.with_name(f"{path.name}.sha256").read_text().split()[0], path.relative_to(ROOT))
    print(f"signed: {signed.name}" if signed else "unsigned: hosts refuse it", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

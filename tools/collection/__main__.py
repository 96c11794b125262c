"""`make collection`: one file that deploys without this checkout, the same bytes from any directory."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from tools.artifact import VERSION_FORM
from tools.collection import stage, tarball
from tools.process import ToolError, run

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
# where ansible-test wants it
STAGED = "collection/ansible_collections/tcmicro/fleet"


def build(source: Path, version: str, target: Path = BUILD) -> Path:
    """Write tcmicro-fleet-<version>.tar.gz, and its tree below `collection/`."""
    if not VERSION_FORM.fullmatch(version):
        raise ToolError(f"version {version!r} is not like 1.2.3 or 1.2.3rc1")
    folder = target / STAGED
    stage.write(stage.tree(source, version), folder)
    argv = ["ansible-galaxy", "collection", "build", str(folder), "--force"]
    run([*argv, "--output-path", str(target)])
    path = target / f"tcmicro-fleet-{version}.tar.gz"
    tarball.settle(path)
    return path


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make collection", description=__doc__)
    parser.add_argument("--version", required=True, help="version number, like 1.2.3")
    options = parser.parse_args(argv)
    try:
        path = build(ROOT, options.version)
    except ToolError as exc:
        print(f"collection: {exc}", file=sys.stderr)
        return 1
    print(hashlib.sha256(path.read_bytes()).hexdigest(), path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())

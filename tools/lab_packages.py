"""Debian packages into one host of the lab, from outside: the lab's network has no way out.

`python -m tools.lab_packages HOST PACKAGE…`, while the lab is up. apt runs in the host's own tree with this machine's
network; services of the packages are not started, as on a host that is being set up.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tools.process import ToolError

LIMIT_S = 300
POLICY = "usr/sbin/policy-rc.d"  # what Debian asks whether a service may be started


def install(root: Path, host: str, packages: list[str]) -> None:
    """Raises ToolError where the host is not there or apt fails."""
    tree = root / ".lab/hosts" / host / "root"
    if not (tree / "etc").is_dir():
        raise ToolError(f"{host}: no such host in {root / '.lab'}; run 'make lab-up HOSTS=3'")
    if all((tree / f"var/lib/dpkg/info/{name}.list").exists() for name in packages):
        return
    policy = tree / POLICY
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
    try:
        _apt(tree, "update", "-q")
        _apt(tree, "install", "-q", "-y", "--no-install-recommends", *packages)
    finally:
        policy.unlink()


def _apt(tree: Path, *words: str) -> None:
    argv = ["chroot", str(tree), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode:
        raise ToolError(f"apt-get {' '.join(words)} in {tree}: {done.stderr.strip()[-500:]}")


def main() -> None:
    host, *packages = sys.argv[1:]
    install(Path(__file__).resolve().parents[1], host, packages)


if __name__ == "__main__":
    main()

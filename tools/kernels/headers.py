"""The headers that a stock kernel was built with, as its Debian packages lay them out: what bcc compiles against."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tools.kernels import image
from tools.kernels.archive import Archive
from tools.kernels.packages import Kernel, Wanted, main_sources
from tools.process import ToolError, run


def common(shown: str, kernel: str) -> tuple[str, str]:
    """(package, version) of the headers that a kernel's flavours share, out of `apt-cache show` of one's."""
    found = re.search(r"^Depends:.*?(linux-headers-\S+-common) \(= (\S+?)\)", shown, re.MULTILINE)
    if found is None:
        raise ToolError(
            f"{kernel}: its archive has no headers of this very kernel any more; take its newest: make clean-kernels"
        )
    return found[1], found[2]


def fetch(wanted: Wanted, kernel: Kernel) -> Path:
    """An initramfs of the headers, fetched once."""
    target = kernel.folder / "headers.cpio"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=kernel.folder, prefix="fetch-") as work:
            archive = Archive(main_sources(wanted.suite), Path(work) / "apt")
            own = f"linux-headers-{kernel.release}={kernel.version}"
            shared = "=".join(common(archive.shown(own), kernel.release))
            tree = Path(work) / "tree"
            for package in (own, shared):
                run(["dpkg-deb", "--extract", str(archive.download(package)), str(tree)])
            _below_usr(tree)
            draft = Path(work) / "headers.cpio"
            image.pack(tree, draft)
            draft.rename(target)
    return target


def _below_usr(tree: Path) -> None:
    """/lib is a link in the userland, which an archive with a folder of that name would replace."""
    modules = tree / "lib/modules"
    if modules.is_dir():
        (tree / "usr/lib").mkdir(exist_ok=True)
        modules.rename(tree / "usr/lib/modules")
        modules.parent.rmdir()

"""Stock kernels as Debian packages: which, from where, fetched by an apt state of our own beside the machine's."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roles.lab_host.module_utils.tcmicro_lab import apt
from roles.lab_host.module_utils.tcmicro_lab.tree import apt_files
from tools.kernels import image
from tools.kernels.archive import Archive
from tools.process import ToolError, run

# What network programs and tests may ask for; drivers of hardware stay behind.
MODULES = ("kernel/net", "kernel/lib", "kernel/crypto", "kernel/arch", "kernel/drivers/net")
HARDWARE = ("kernel/drivers/net/ethernet", "kernel/drivers/net/wireless")


@dataclass(frozen=True)
class Wanted:
    """A kernel series, and the meta package that always depends on its newest image."""

    series: str
    suite: str
    package: str


WANTED = (
    Wanted("5.10", "bullseye", "linux-image-cloud-amd64"),
    Wanted("6.1", "bookworm", "linux-image-cloud-amd64"),
    Wanted("6.12", "bookworm", "linux-image-6.12-cloud-amd64"),
)


@dataclass(frozen=True)
class Kernel:
    """A fetched kernel: `release` is what `uname -r` will say, `version` the package's."""

    series: str
    release: str
    version: str
    folder: Path

    @property
    def vmlinuz(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def modules(self) -> Path:
        return self.folder / "modules.cpio"


# --- pure ---


def sources(files: Mapping[str, str], own: str, suite: str) -> tuple[str, ...]:
    """The machine's entries of its own suite, rewritten for another one."""
    found = apt.sources_of(files, own, suite)
    if not found:
        raise ToolError(f"/etc/apt: no source of Debian's main archive for {own}, which names it")
    return found


def choose(shown: str, wanted: Wanted) -> tuple[str, str]:
    """(image package, version) out of `apt-cache show` of the meta package."""
    found = re.search(r"^Depends:.*?(linux-image-\S+) \(= (\S+?)\)", shown, re.MULTILINE)
    if found is None:
        raise ToolError(f"{wanted.suite}: {wanted.package} depends on no image:\n{shown.strip()}")
    if not found[1].startswith(f"linux-image-{wanted.series}."):
        raise ToolError(f"{wanted.suite}: {wanted.package} is {found[1]}, wanted: {wanted.series}")
    return found[1], found[2]


def identity(*inputs: object) -> str:
    """A short name for what something is made from."""
    return hashlib.sha256(repr(inputs).encode()).hexdigest()[:10]


def has_use(path: Path) -> bool:
    """Whether a module, named below its version's folder, goes into the guest."""
    return str(path).startswith(MODULES) and not str(path).startswith(HARDWARE)


# --- effects ---


def own_suite() -> str:
    """The machine's Debian, by code name."""
    found = apt.suite_of(Path("/etc/os-release").read_text())
    if not found:
        raise ToolError("/etc/os-release: no VERSION_CODENAME; stock kernels need a Debian machine")
    return found


def main_sources(suite: str) -> tuple[str, ...]:
    """Lines of a sources.list for a suite, from where the machine has its own."""
    return sources(apt_files(), own_suite(), suite)


def fetch(wanted: Wanted, cache: Path) -> Kernel:
    """The newest kernel of a series, once; `make clean-kernels` lets the next run look for a newer one."""
    lines = main_sources(wanted.suite)
    folder = cache / f"linux-{wanted.series}-{identity(wanted, lines, MODULES, HARDWARE)}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as work:
            archive = Archive(lines, Path(work) / "apt")
            name, version = choose(archive.shown(wanted.package), wanted)
            draft = Path(work) / "done"
            _unpack(archive.download(f"{name}={version}"), draft)
            (draft / "package").write_text(f"{name.removeprefix('linux-image-')} {version}\n")
            draft.rename(folder)
    release, version = (folder / "package").read_text().split()
    return Kernel(wanted.series, release, version, folder)


def userland(cache: Path, more: tuple[str, ...] = ()) -> Path:
    """The archive of a Debian userland like this machine's, so that .venv fits; built once per list of packages."""
    suite = own_suite()
    lines = main_sources(suite)
    names = (*image.PACKAGES, *more)
    target = cache / f"userland-{identity(suite, lines, names, image.LEFT_OUT)}.cpio"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="userland-") as work:
            Path(work).chmod(0o755)  # apt downloads as a user of its own
            tree = Path(work) / "tree"
            options = apt.options(run(["apt-config", "dump"]))
            image.userland(target, image.bootstrap_argv(tree, suite, lines, options, names), tree)
    return target


def _unpack(package: Path, folder: Path) -> None:
    """Makes `vmlinuz` and `modules.cpio` of a kernel package."""
    tree, kept = package.with_name("tree"), package.with_name("kept")
    run(["dpkg-deb", "--extract", str(package), str(tree)])
    folder.mkdir()
    image_file = next((tree / "boot").glob("vmlinuz-*"))
    image_file.rename(folder / "vmlinuz")
    modules = next(path for path in tree.glob("**/lib/modules/*") if path.is_dir())
    target = kept / "usr/lib/modules" / modules.name
    for path in modules.rglob("*"):
        name = path.relative_to(modules)
        if path.is_file() and (has_use(name) or len(name.parts) == 1):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / name)
    run(["depmod", "--basedir", str(kept / "usr"), modules.name])
    image.pack(kept, folder / "modules.cpio")

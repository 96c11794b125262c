"""What virtual machines boot from: a tree, a file system of it, its kernel and initramfs. Built once, kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from . import apt, mounts
from .cgroup import Cgroups
from .images import KERNEL, MODULES, PACKAGES, Image, files_of, image
from .model import Act, Lab, LabError, Wanted
from .run import run
from .tree import UNNEEDED, apt_files, bootstrap

DISK_MB = 2048  # sparse
LIMIT = 1800
MASKED = (
    "e2scrub_reap.service e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer "
    "fstrim.timer getty.target serial-getty@ttyS0.service systemd-networkd-wait-online.service "
    "systemd-timesyncd.service"
)
# Kernels come from their suite, everything else from the userland's.
PREFER = """cat >"$1/etc/apt/preferences.d/kernel" <<END
Package: linux-image-*
Pin: release n={kernel}*
Pin-Priority: 990

Package: *
Pin: release n={suite}*
Pin-Priority: 900
END"""
# What the package of the newest one depends on: the archive of an old release may have lost that package itself.
INSTALL = f"""export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
name=$(apt-cache depends {KERNEL} | sed -n 's/.*Depends: //p' | head -n 1)
apt-get --yes install --no-install-recommends -oDPkg::Chroot-Directory="$1" "$name" """


class Images:
    """Effect of Kind.IMAGE: a directory with `tree`, `disk`, `vmlinuz` and `initrd`."""

    def __init__(self, lab: Lab, wanted: Wanted | None, cgroups: Cgroups) -> None:
        self.lab, self.wanted, self.cgroups = lab, wanted, cgroups

    def exists(self, act: Act) -> bool:
        return Path(act.target).is_dir()

    def make(self, act: Act) -> None:
        if self.wanted is None:
            raise LabError(f"{act.target}: the image is gone; take the lab down, then up again")
        packages = self.wanted.packages
        name = next(n for n in self.wanted.images if files_of(n, packages) == Path(act.target).name)
        draft = Path(f"{act.target}.partial")
        mounts.clear(draft)
        draft.mkdir(parents=True)
        tree = draft / "tree"
        argv = command(image(name), packages, tree, apt_files(), run(["apt-config", "dump"]))
        bootstrap(self.lab, self.cgroups, argv, LIMIT)
        finish(tree, draft)
        draft.rename(act.target)

    def remove(self, act: Act) -> None:
        """A finished image stays when the lab goes; an unfinished one does not."""
        mounts.clear(Path(f"{act.target}.partial"))


def command(
    wanted: Image, packages: tuple[str, ...], tree: Path, files: dict[str, str], config: str
) -> list[str]:
    """The mmdebstrap command line. A kernel of another suite comes from that suite's archive and from nowhere else."""
    own = apt.suite_of(Path("/etc/os-release").read_text())
    if not own:
        raise LabError("/etc/os-release: no VERSION_CODENAME; images are made on a Debian machine")
    kernel = wanted.foreign_kernel or wanted.suite
    sources = apt.sources_of(files, own, wanted.suite)
    if wanted.foreign_kernel:
        sources += apt.sources_of(files, own, wanted.foreign_kernel)
    if not sources:
        raise LabError(f"/etc/apt: no source of Debian's main archive for {own}, which is there")
    return [
        *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory"),
        f"--include={','.join([*packages, *PACKAGES])}",
        f"--setup-hook={PREFER.format(suite=wanted.suite, kernel=kernel)}",
        f"--customize-hook={INSTALL}",
        *(f"--aptopt={line}" for line in apt.options(config)),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNNEEDED),
        *(wanted.suite, str(tree), *sources),
    ]


def finish(tree: Path, folder: Path) -> None:
    """Makes the tree a machine without identity, and of it what boots."""
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (tree / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
    run(["chroot", str(tree), "systemctl", "enable", "systemd-networkd.service"])
    run(["chroot", str(tree), "systemctl", "mask", *MASKED.split()])
    settings = tree / "etc/initramfs-tools"
    (settings / "modules").write_text("".join(f"{name}\n" for name in MODULES))
    (settings / "conf.d/few-modules").write_text("MODULES=list\n")
    run(["chroot", str(tree), "update-initramfs", "-u", "-k", "all"], limit=300)
    shutil.copyfile(_newest(tree, "vmlinuz-*"), folder / "vmlinuz")
    shutil.copyfile(_newest(tree, "initrd.img-*"), folder / "initrd")
    run(
        ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(folder / "disk"), f"{DISK_MB}M"],
        limit=300,
    )


def _newest(tree: Path, pattern: str) -> Path:
    """By the numbers in its name: a pattern may have brought more than one kernel."""
    found = list((tree / "boot").glob(pattern))
    if not found:
        raise LabError(f"{tree}/boot: no file is {pattern}; a kernel is expected")
    return max(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)])

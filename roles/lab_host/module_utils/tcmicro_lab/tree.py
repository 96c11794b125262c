"""The root tree that all hosts share: built once per package list, kept between labs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import apt, mounts
from .cgroup import Cgroups
from .model import Act, Lab, LabError, Wanted
from .plan import root_name
from .run import run

LIMIT = 900
# Units that would change the kernel under all hosts at once, or only cost time on a test host.
MASKED = (
    "systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service systemd-pstore.service "
    "systemd-random-seed.service kmod-static-nodes.service systemd-tmpfiles-setup-dev.service "
    "proc-sys-fs-binfmt_misc.automount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount "
    "sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount getty.target console-getty.service "
    "systemd-networkd-wait-online.service systemd-update-utmp.service systemd-firstboot.service systemd-repart.service "
    "e2scrub_reap.service e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer "
)
UNNEEDED = ("doc", "man", "locale", "info", "lintian")


class Tree:
    """Effect of Kind.TREE. A finished tree stays when the lab goes; an unfinished one is removed."""

    def __init__(self, lab: Lab, wanted: Wanted | None, cgroups: Cgroups) -> None:
        self.lab, self.wanted, self.cgroups = lab, wanted, cgroups

    def exists(self, act: Act) -> bool:
        return Path(act.target).is_dir()

    def make(self, act: Act) -> None:
        if self.wanted is None:
            raise LabError(
                f"{act.target}: the root tree is gone; run `make lab-down`, then `make lab-up`"
            )
        draft, name = _draft(act), Path(act.target).name
        packages = self.wanted.packages
        suite = next(s for s in self.wanted.suites if root_name(s, packages) == name)
        mounts.clear(draft)
        argv = command(suite, packages, draft, apt_files(), run(["apt-config", "dump"]))
        bootstrap(self.lab, self.cgroups, argv, LIMIT)
        finish(draft)
        draft.rename(act.target)

    def remove(self, act: Act) -> None:
        mounts.clear(_draft(act))


def bootstrap(lab: Lab, cgroups: Cgroups, argv: list[str], limit: float) -> None:
    """Runs mmdebstrap in the lab's own cgroup, so that no cut attempt leaves it behind."""
    log = lab.directory / "build.log"
    with log.open("w") as output:
        builder = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: cgroups.enter(f"{lab.name}/build"),
        )
        try:
            code = builder.wait(limit)
        except BaseException:
            cgroups.kill(f"{lab.name}/build")
            raise
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise LabError(f"{log}: building the root tree failed with exit {code}:\n{tail}")


def command(
    suite: str, packages: tuple[str, ...], target: Path, files: dict[str, str], config: str
) -> list[str]:
    """The mmdebstrap command line. Without usable sources mmdebstrap takes Debian's own mirror."""
    own = apt.suite_of(Path("/etc/os-release").read_text()) or suite
    sources = apt.sources(files, suite) or apt.sources_of(files, own, suite)
    return [
        *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory"),
        "--include=" + ",".join(packages),
        *(f"--aptopt={line}" for line in apt.options(config)),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNNEEDED),
        *(suite, str(target), *sources),
    ]


def finish(tree: Path) -> None:
    """Makes the tree a host without identity: no ssh host keys, static network, nothing needless started."""
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    run(["chroot", str(tree), "systemctl", "enable", "systemd-networkd.service"])
    run(["chroot", str(tree), "systemctl", "mask", *MASKED.split()])


def _draft(act: Act) -> Path:
    return Path(f"{act.target}.partial")


def apt_files() -> dict[str, str]:
    folder = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *folder.glob("*.list"), *folder.glob("*.sources")]
    return {str(file): file.read_text(errors="replace") for file in files if file.is_file()}

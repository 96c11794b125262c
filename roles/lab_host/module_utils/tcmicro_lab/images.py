"""Which machines there are to boot: a Debian userland, a kernel and what of it is hidden. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from .model import LabError

RECIPE = 1  # raise it when image.py makes an image differently: cached ones are then built anew
# What a machine of its own needs beside the packages of a lab host.
KERNEL = "linux-image-cloud-amd64"  # depends on the newest one
PACKAGES = ("initramfs-tools", "kmod", "systemd-timesyncd")
# What the initramfs must know to find the root file system; the rest is loaded from there.
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")
MEMORY_MB = 768
LIBBPF = "/usr/lib/x86_64-linux-gnu/libbpf.so.1"


@dataclass(frozen=True)
class Image:
    """A Debian suite and the suite its kernel comes from; `btf` tells whether the kernel shows its types, `without`
    names files that a host of it lacks."""

    suite: str
    kernel_suite: str = ""
    btf: bool = True
    memory_mb: int = MEMORY_MB
    without: tuple[str, ...] = ()

    @property
    def foreign_kernel(self) -> str:
        """The suite of a kernel that is not of this userland, or nothing."""
        return self.kernel_suite if self.kernel_suite != self.suite else ""


IMAGES: Mapping[str, Image] = {
    "debian-12": Image("bookworm"),
    "debian-13": Image("trixie"),
    "debian-12-linux-5.10": Image("bookworm", kernel_suite="bullseye"),
    "debian-12-no-btf": Image("bookworm", btf=False),
    "debian-12-unfit": Image("bookworm", btf=False, memory_mb=320, without=(LIBBPF,)),
}


def image(name: str) -> Image:
    """The image of a name, or what names there are."""
    try:
        return IMAGES[name]
    except KeyError:
        raise LabError(f"images: {name!r} is none of {', '.join(IMAGES)}") from None


def files_of(name: str, packages: tuple[str, ...]) -> str:
    """What the files of an image are called: same content, same name. What is hidden needs no image of its own."""
    made = image(name)
    recipe = json.dumps([RECIPE, made.suite, made.foreign_kernel, sorted({*packages, *PACKAGES})])
    return "vm-" + hashlib.sha256(recipe.encode()).hexdigest()[:10]

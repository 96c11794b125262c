"""Keys and text files of the lab on the controller."""

from __future__ import annotations

from pathlib import Path

from . import documents, mounts
from .model import Act, Host, Lab
from .record import write_file
from .run import run

KEY = "lab"  # the key that opens all hosts; every host key is named as its host


class Keys:
    """Effect of Kind.KEYS: a directory with the lab's key and the hosts' keys, made before any host boots."""

    def __init__(self, members: tuple[Host, ...]) -> None:
        self.names = (KEY, *(host.name for host in members))

    def exists(self, act: Act) -> bool:
        return all((Path(act.target) / f"{name}.pub").exists() for name in self.names)

    def make(self, act: Act) -> None:
        directory = Path(act.target)
        mounts.clear(directory)
        directory.mkdir(mode=0o700, parents=True)
        for name in self.names:
            run(
                [
                    "ssh-keygen",
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-C",
                    f"tcmicro-{name}",
                    "-f",
                    str(directory / name),
                ]
            )

    def remove(self, act: Act) -> None:
        mounts.clear(Path(act.target))


class Files:
    """Effect of Kind.FILE: the target's text follows from the lab, its hosts and their keys."""

    def __init__(self, lab: Lab, members: tuple[Host, ...]) -> None:
        self.lab, self.members = lab, members

    def exists(self, act: Act) -> bool:
        path = Path(act.target)
        return path.exists() and path.read_text() == self._text(path)

    def make(self, act: Act) -> None:
        write_file(Path(act.target), self._text(Path(act.target)))

    def remove(self, act: Act) -> None:
        Path(act.target).unlink(missing_ok=True)

    def _text(self, path: Path) -> str:
        if path == self.lab.inventory:
            return documents.inventory(self.lab, self.members)
        if path.name == "ssh_config":
            return documents.ssh_config(self.lab, self.members)
        return documents.known_hosts(self.members, self._public_keys())

    def _public_keys(self) -> dict[str, str]:
        keys = self.lab.directory / "keys"
        return {host.name: (keys / f"{host.name}.pub").read_text() for host in self.members}

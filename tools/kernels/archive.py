"""Packages of any suite of Debian, by an apt state of our own beside the machine's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tools.process import ToolError, run


class Archive:
    """What the given lines of a sources.list offer today. All its files are in one folder."""

    def __init__(self, lines: Iterable[str], folder: Path) -> None:
        self.folder = folder
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text("".join(f"{line}\n" for line in lines))
        settings = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferences": "-",
            "Dir::Etc::preferencesparts": "-",
            "Dir::State": folder,
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder,
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",
        }
        self._options = [f"-o{name}={value}" for name, value in settings.items()]
        run(["apt-get", *self._options, "-q", "update"])

    def shown(self, package: str) -> str:
        """Its newest entry, or why there is none; `package` may name a version: name=1.2."""
        try:
            return run(["apt-cache", *self._options, "show", "--no-all-versions", package])
        except ToolError as exc:
            return str(exc)

    def download(self, package: str) -> Path:
        """The package's file."""
        before = set(self.folder.glob("*.deb"))
        run(["apt-get", *self._options, "-q", "download", package], cwd=self.folder)
        return next(path for path in self.folder.glob("*.deb") if path not in before)

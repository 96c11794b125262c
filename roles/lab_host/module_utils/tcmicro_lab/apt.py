"""Where the packages come from: the host's own apt sources and settings, as mmdebstrap takes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

PASSED_ON = (
    "acquire::check-valid-until",
    "acquire::check-date",
    "acquire::retries",
    "acquire::http",
    "acquire::https",
)


def sources(files: Mapping[str, str], suite: str) -> tuple[str, ...]:
    """One-line entries of the suite's main archive, from /etc/apt files by name; empty when there are none."""
    entries: list[str] = []
    for name, text in sorted(files.items()):
        entries += _deb822(text, suite) if name.endswith(".sources") else _one_line(text, suite)
    return tuple(dict.fromkeys(entries))


def _wanted(entry_suite: str, components: list[str], suite: str) -> bool:
    archive = (suite, f"{suite}-updates", f"{suite}-security", f"{suite}/updates")
    return entry_suite in archive and "main" in components


def _one_line(text: str, suite: str) -> Iterator[str]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] != ["deb"]:
            continue
        start = next((n for n, word in enumerate(words) if word.endswith("]")), 0) + 1
        if len(words) > start + 2 and _wanted(words[start + 1], words[start + 2 :], suite):
            yield " ".join(words)


def _deb822(text: str, suite: str) -> Iterator[str]:
    for stanza in _stanzas(text):
        if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes") == "no":
            continue
        components = stanza.get("components", "").split()
        keyring, trusted = stanza.get("signed-by", ""), stanza.get("trusted", "")
        options = [f"signed-by={keyring}"] if keyring.startswith("/") else []
        options += [f"trusted={trusted}"] if trusted else []
        prefix = f"deb [{' '.join(options)}]" if options else "deb"
        for uri in stanza.get("uris", "").split():
            for entry_suite in stanza.get("suites", "").split():
                if _wanted(entry_suite, components, suite):
                    yield f"{prefix} {uri} {entry_suite} {' '.join(components)}"


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith(("#", " ", "\t")):
                fields[name.strip().lower()] = value.strip()
        yield fields


def suite_of(os_release: str) -> str:
    """A machine's Debian by code name, out of its /etc/os-release; empty where that has none."""
    found = re.search(r"^VERSION_CODENAME=(\w+)$", os_release, re.MULTILINE)
    return found[1] if found else ""


def sources_of(files: Mapping[str, str], own: str, suite: str) -> tuple[str, ...]:
    """The machine's entries of its own suite, rewritten for another one of the same archive."""
    found = sources(files, own)
    return tuple(re.sub(rf" {own}(?=[-/ ])", f" {suite}", line) for line in found)


def options(config_dump: str) -> tuple[str, ...]:
    """The lines of `apt-config dump` that a download here depends on: proxies, date checks, retries."""
    lines = (line.strip() for line in config_dump.splitlines())
    return tuple(
        line for line in lines if line.lower().startswith(PASSED_ON) and not line.endswith('"";')
    )

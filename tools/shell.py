"""What a release brings for people at a shell: its manual page, and completion for three shells."""

from __future__ import annotations

from tcmicro_agent.cli.completion import script
from tcmicro_agent.cli.grammar import nodes
from tcmicro_agent.cli.parser import parser
from tools.man import page

COMPLETIONS = {  # below share/, where each shell looks
    "bash": "bash-completion/completions/tc-micro",
    "zsh": "zsh/site-functions/_tc-micro",
    "fish": "fish/vendor_completions.d/tc-micro.fish",
}


def files(version: str) -> dict[str, bytes]:
    """By their path in the release."""
    found = list(nodes(parser()))
    completions = {path: script(shell, found) for shell, path in COMPLETIONS.items()}
    texts = {"man/man1/tc-micro.1": page(version), **completions}
    return {f"share/{path}": text.encode() for path, text in texts.items()}

"""The command line: verbs, output and exit codes. Only this room turns errors into exit codes."""

from tcmicro_agent.cli.main import main

__all__ = ["main"]

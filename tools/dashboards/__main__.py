"""`make format`: write monitoring/dashboards, a file for each dashboard."""

from __future__ import annotations

from pathlib import Path

from tools.dashboards import datapath, fleet, host, policy, rollout
from tools.dashboards.frame import document

FOLDER = Path(__file__).resolve().parents[2] / "monitoring/dashboards"
BOARDS = (fleet.BOARD, host.BOARD, policy.BOARD, rollout.BOARD, datapath.BOARD)


def documents() -> dict[str, str]:
    """Texts by file name."""
    return {f"{board.name}.json": document(board) for board in BOARDS}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()

# --- appended by tests/rollout: the controller dies right before or right after a step is on disk, or what there is at
# --- each of these moments is kept, for fleets that begin there


def commit(connection):
    import os
    import signal
    from pathlib import Path

    fleet = Path(os.environ["FAKE_FLEET"])
    counter = fleet / "steps"
    number = int(counter.read_text() or 0) + 1 if counter.exists() else 1
    counter.write_text(str(number))
    where = os.environ.get("FAKE_CUT", "")

    def moment(name):
        if where == "keep":
            keep(fleet, name)
        elif where == name:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    moment(f"before {number}")
    connection.execute("COMMIT")
    moment(f"after {number}")


def keep(fleet, name):
    """The hosts, and what of the journal is on disk."""
    import shutil
    import sqlite3

    place = fleet / "kept" / name
    shutil.copytree(fleet / "hosts", place / "hosts")
    (place / "rollouts").mkdir()
    with (
        sqlite3.connect(fleet / "rollouts/journal.db") as source,
        sqlite3.connect(place / "rollouts/journal.db") as target,
    ):
        source.backup(target)

# --- appended by tests/rollout: the controller dies right before or right after a step is on disk


def commit(connection):
    import os
    import signal
    from pathlib import Path

    counter = Path(os.environ["FAKE_FLEET"]) / "steps"
    number = int(counter.read_text() or 0) + 1 if counter.exists() else 1
    counter.write_text(str(number))
    where = os.environ.get("FAKE_CUT", "")

    def die():
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    if where == f"before {number}":
        die()
    connection.execute("COMMIT")
    if where == f"after {number}":
        die()

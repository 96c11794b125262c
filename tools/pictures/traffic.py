"""Some minutes of real connections between lab hosts, as they are worth a picture; bounded in number and time."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tools.demo.lab import Lab

DATABASE = 5432
# Connects a few times a second; what is refused costs its timeout.
CONNECT = """
import random, socket, sys, time
address, port, seconds, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
end = time.monotonic() + seconds
while time.monotonic() < end:
    try:
        with socket.create_connection((address, port), 1) as connection:
            for _ in range(random.randint(1, 40)):
                connection.sendall(b"x" * 64)
                connection.recv(64)
                time.sleep(pause / 10)
    except OSError:
        pass
    time.sleep(random.uniform(0, pause))
"""
# Who asks the database, how many times over, and the seconds between two.
ASKING = (("web", 4, 0.2), ("client", 2, 1.5))


def make(lab: Lab, seconds: float) -> None:
    """Until the time is over: the web's connections pass, the clients' are refused."""
    address = lab.address(lab.members("db")[0])
    running = [
        subprocess.Popen(_argv(lab, host, (address, str(DATABASE), str(seconds), str(pause))))
        for group, times, pause in ASKING
        for host in lab.members(group)
        for _ in range(times)
    ]
    for process in running:
        process.wait(seconds + 60)


def _argv(lab: Lab, host: str, words: Sequence[str]) -> list[str]:
    return lab.ssh_argv(host, f"python3 -c '{CONNECT}' {' '.join(words)}")

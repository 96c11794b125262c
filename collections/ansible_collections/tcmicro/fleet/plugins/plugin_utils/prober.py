# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Knocks at ports of a host, each over a new connection, and tells what came of it. Run by itself, on the controller or from
where the hosts can be reached: {"destination", "targets": [{"protocol", "port"}], "timeout_s"} on stdin, the list on stdout.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time
from typing import Any

Document = dict[str, Any]
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
ON_ITS_WAY = (0, errno.EINPROGRESS)


class Knock:
    """One new connection, begun at once; nothing is sent on it that a service could take for a request."""

    def __init__(self, destination: str, protocol: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in destination else socket.AF_INET
        self.protocol, self.destination, self.port = protocol, destination, port
        self.started_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.socket = socket.socket(family, KINDS[protocol])
        self.socket.settimeout(0)
        self.code = self.socket.connect_ex((destination, port))
        self.source, self.source_port = self.socket.getsockname()[:2]
        if protocol == "udp" and self.code == 0:
            self.socket.send(b"\0")

    def finish(self, arrived: bool) -> Document:  # noqa: FBT001
        outcome = self._outcome(arrived)
        self.socket.close()
        ends = {"source": self.source, "source_port": self.source_port}
        where = {"destination": self.destination, "port": self.port, "protocol": self.protocol}
        return {**ends, **where, "started_at": self.started_at, "outcome": outcome}

    def _outcome(self, arrived: bool) -> str:  # noqa: FBT001
        if self.code not in ON_ITS_WAY:
            return errno.errorcode.get(self.code, str(self.code))
        if self.protocol == "udp":
            return "sent"
        if not arrived:
            return "timeout"
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code in (0, errno.ECONNREFUSED):
            return "refused" if code else "answered"
        return errno.errorcode.get(code, str(code))


def probe(asked: Document) -> list[Document]:
    knocks = [Knock(asked["destination"], t["protocol"], t["port"]) for t in asked["targets"]]
    end = time.monotonic() + asked["timeout_s"]
    waiting = {k.socket: k for k in knocks if k.protocol == "tcp" and k.code in ON_ITS_WAY}
    arrived: set[Knock] = set()
    while waiting and (left := end - time.monotonic()) > 0:
        ready = select.select([], list(waiting), [], left)[1]
        arrived |= {waiting.pop(found) for found in ready}
    return [knock.finish(knock in arrived) for knock in knocks]


if __name__ == "__main__":
    json.dump(probe(json.load(sys.stdin)), sys.stdout)

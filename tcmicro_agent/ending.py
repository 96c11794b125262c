"""Flows that are ended: their TCP sockets here destroyed, then their entries deleted."""

from __future__ import annotations

from typing import Any

from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.datapath.sockets import Sockets
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.sessions import TCP, Chunk, Query


def end(kernel: Kernel, query: Query, *, dry_run: bool) -> dict[str, Any]:
    """What was done, in numbers. The reset that tells the peer is a packet of the flow: so the socket goes first."""
    sockets = Sockets()
    try:
        if not dry_run and not sockets.can_destroy():
            hint = "session flush forgets flows without ending them; ss -K needs the same"
            text = "this kernel destroys no sockets (CONFIG_INET_DIAG_DESTROY)"
            raise RefusedError(text, hint=hint)
        destroyed = gone = tcp = 0
        for chunk in kernel.sessions.chunks():
            found = query.select(chunk)
            streams = [n for n in found if chunk.protocols[n] == TCP]
            tcp += len(streams)
            if dry_run:
                gone += len(found)
                continue
            destroyed += _destroy(sockets, chunk, streams)
            gone += kernel.sessions.delete(chunk, found)
    finally:
        sockets.close()
    return {
        "changed": bool(gone) and not dry_run,
        "sessions": gone,
        "tcp": tcp,
        "sockets": destroyed,
        "without_socket": 0 if dry_run else max(gone - destroyed, 0),
    }


def _destroy(sockets: Sockets, chunk: Chunk, found: list[int]) -> int:
    gone = 0
    for n in found:
        local, remote, local_port, remote_port, _ = chunk.table.key.unpack(chunk.key(n))
        gone += sockets.destroy(local, local_port, remote, remote_port)
    return gone

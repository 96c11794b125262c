"""rtnetlink through pyroute2: its sockets and its errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def opened() -> Iterator[Any]:
    """An IPRoute in the caller's network namespace; what the kernel refuses is an OSError with its errno."""
    # imported late: it costs more time and memory than the rest of the command line together
    from pyroute2 import IPRoute, NetlinkError

    with IPRoute() as route:
        try:
            yield route
        except NetlinkError as exc:
            raise OSError(exc.code, os.strerror(exc.code)) from exc

"""A terminal taken over for a while: keys without Enter, another screen, no cursor. Put back by any end."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

ENTER = "\033[?1049h\033[?25l"  # the other screen, no cursor
LEAVE = "\033[0m\033[?25h\033[?1049l"
HOME, WHOLE_LINE, REST = "\033[H", "\033[2K", "\033[J"  # the last two erase
ENDING = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
)  # also where it was ignored, as in a job of a shell


class Screen:
    """Standard input and output as one screen, for the length of a `with`."""

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()

    def __enter__(self) -> Screen:
        self._before = termios.tcgetattr(self._in)
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._handlers = {number: signal.getsignal(number) for number in (*ENDING, *RELEVANT)}
        for number in ENDING:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        signal.signal(signal.SIGWINCH, self._resized)
        signal.signal(
            signal.SIGTSTP, signal.SIG_IGN
        )  # a stopped view would leave its screen behind
        tty.setcbreak(self._in)
        self._write(ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        try:
            self._write(LEAVE)
        except OSError:  # the terminal is gone
            pass
        finally:
            self._restore()

    def _restore(self) -> None:
        with suppress(termios.error):
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._wake)

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        try:
            found = os.get_terminal_size(self._out)
        except OSError:
            return 80, 24
        return found.columns or 80, found.lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Over what was there, so that nothing flickers; no newline after the last line, which would scroll."""
        text = "\r\n".join(f"{WHOLE_LINE}{line}" for line in lines)
        self._write(f"{HOME}{text}{REST}")

    def key(self, seconds: float) -> str | None:
        """A key, "" at the end of the input, or None when the time is over or the window has another size."""
        ready, _, _ = select.select([self._in, self._woken], [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 4096)
            return None
        if self._in not in ready:
            return None
        return os.read(self._in, 1).decode(errors="replace")

    def _resized(self, *_: object) -> None:
        with suppress(BlockingIOError):  # it will be drawn anew anyway
            os.write(self._wake, b"w")

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._out, data) :]


RELEVANT = (signal.SIGWINCH, signal.SIGTSTP)

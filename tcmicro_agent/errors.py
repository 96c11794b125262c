"""Every failure this package can name. The class says whose fault it is, `exit_code` what the CLI returns."""

from __future__ import annotations


class TcmicroError(Exception):
    """Base of all errors raised on purpose: `where: what is, what is allowed`, plus one thing to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputErrors(TcmicroError):
    """Several faults of one input, reported at once; `problems` holds them one per line."""

    exit_code = 6

    def __init__(self, problems: list[str], *, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = list(problems)


class PolicyError(InputErrors):
    """A policy or address set as written by people is wrong; nothing was changed."""


class BundleError(InputErrors):
    """A bundle or config document handed to the agent is wrong; nothing was changed."""


class QuestionError(InputErrors):
    """What was asked names no flow of this host."""


class KernelError(TcmicroError):
    """The kernel refused something or holds something we cannot use."""


class MapFullError(KernelError):
    """What should be in a map does not fit; what rules was not changed."""

    exit_code = 3


class StoreError(TcmicroError):
    """A file under our own directories cannot be read or written."""


class RefusedError(TcmicroError):
    """The request is understood and not carried out: wrong token, deadline passed, another change pending."""

    exit_code = 3


class MirrorError(TcmicroError):
    """A mirror is not there, too slow, or has not what it should; nothing was changed."""

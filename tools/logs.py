"""`make format`: write docs/logs.md, the page of every line that the agent logs, from its own catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tcmicro_agent.messages import CATALOGUE, Message

PAGE = Path(__file__).resolve().parents[1] / "docs/logs.md"

INTRODUCTION = """\
# Log

The agent logs one event a line, to the journal with fields, and where its stderr is not the journal as `LEVEL CODE
text`. A code is never given anew, and neither is the message id that journald knows it by:

```text
journalctl -u tcmicro-agent                             everything
journalctl -u tcmicro-agent -p warning                  what is not as usual
journalctl TCMICRO_CODE=TCMA0302                        one kind of line, by its code
journalctl MESSAGE_ID=21cb…                             the same by its id, as in the table
journalctl -u tcmicro-agent -o json | jq .TCMICRO_INTERFACE
```

The words in braces are fields too: `{interface}` is `TCMICRO_INTERFACE`. `tc_micro_log_lines_total` counts lines by
code. A fault that goes on is told once, and again when it is another.

Written by `make format` from `tcmicro_agent/messages.py` and `tools/logs.py`: change it there.

| code | level | line | what to do | message id |
|---|---|---|---|---|
"""


def page(catalogue: Iterable[Message] = CATALOGUE) -> str:
    return INTRODUCTION + "".join(map(_row, catalogue))


def _row(message: Message) -> str:
    anchor = f'<a id="{message.code.lower()}"></a>`{message.code}`'
    level, text = message.level.name.lower(), f"`{message.text}`"
    return f"| {anchor} | {level} | {text} | {message.advice} | `{message.id}` |\n"


def main() -> None:
    PAGE.write_text(page())


if __name__ == "__main__":
    main()

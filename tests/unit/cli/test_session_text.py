"""Listed sessions are written while they are read: of a million, only the few at hand are in memory."""

from __future__ import annotations

import io
import json
import weakref
from collections.abc import Iterator
from contextlib import redirect_stdout

import pytest

from tcmicro_agent import abi
from tcmicro_agent.abi import SessionState, SessionTable
from tcmicro_agent.cli import session_text
from tcmicro_agent.sessions import Chunk, Query

CHUNKS, EACH = 30, 5


def chunk(number: int) -> Chunk:
    table, state = SessionTable.TCP4, SessionState.ESTABLISHED
    port = number.to_bytes(2, "big")
    key = table.key.pack(b"\1\1\1\1", b"\2\2\2\2", port, b"\0\2", 6)
    value = abi.SESSION.pack(1, 7, 0, 0, state, 0, 0, 900, 1, 1, 60, 60)
    return Chunk(table, key * EACH, value * EACH)


class Books:
    numbers = {"p/ssh": 7}


class Agent:
    """A host whose kernel makes chunks as they are read, and looks how many of them still live."""

    def __init__(self, out: io.StringIO) -> None:
        self.kernel = self.store = self.sessions = self
        self.out = out
        self.most_alive = 0
        self.written_before: list[int] = []  # characters, when each chunk was read

    def jiffies(self) -> int:
        return 1000

    def hz(self) -> int:
        return 100

    def books(self) -> Books:
        return Books()

    def chunks(self) -> Iterator[Chunk]:
        made: list[weakref.ref[Chunk]] = []
        for number in range(CHUNKS):
            self.written_before.append(len(self.out.getvalue()))
            found = chunk(number)
            made.append(weakref.ref(found))
            yield found
            del found
            self.most_alive = max(self.most_alive, sum(ref() is not None for ref in made))


def listed(form: str, limit: int = 1000, query: Query | None = None) -> tuple[str, Agent]:
    with redirect_stdout(io.StringIO()) as out:
        agent = Agent(out)
        session_text.write(agent, query or Query(), limit, form)
    return out.getvalue(), agent


@pytest.mark.parametrize("form", session_text.FORMS)
def test_what_was_read_is_written_before_more_is_read(form):
    text, agent = listed(form)
    written = agent.written_before[1:]
    assert all(written)
    assert written == sorted(set(written))
    assert len(text) > written[-1]


@pytest.mark.parametrize("form", session_text.FORMS)
def test_no_more_than_a_few_chunks_are_held(form):
    _, agent = listed(form)
    assert agent.most_alive <= 2


def test_lines_are_all_sessions():
    rows = [json.loads(line) for line in listed("jsonl")[0].splitlines()]
    assert [row["local_port"] for row in rows] == [n for n in range(CHUNKS) for _ in range(EACH)]
    assert {row["rule"] for row in rows} == {"p/ssh"}


@pytest.mark.parametrize("limit", [0, 1, EACH, EACH + 1, 1000])
def test_document_counts_what_its_limit_leaves_out(limit):
    found = json.loads(listed("json", limit)[0])
    shown, total = min(limit, CHUNKS * EACH), CHUNKS * EACH
    assert (len(found["sessions"]), found["matching"], found["total"]) == (shown, total, total)


def test_table_ends_with_the_counts():
    text, _ = listed("table", 3, Query(port=4))
    assert text.splitlines()[-1] == f"3 of {EACH} sessions asked for, {CHUNKS * EACH} in all"

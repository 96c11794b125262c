"""abi.py against bpf/abi.h as the compiler lays it out: every size, offset and number, read from BTF."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from struct import Struct

import pytest

from tcmicro_agent import abi
from tools.compile_bpf import compile_object

ROOT = Path(__file__).parents[3]

STRUCTS = {
    "tcm_control": abi.CONTROL,
    "tcm_slot": abi.SLOT,
    "tcm_host4_key": abi.HOST4_KEY,
    "tcm_host6_key": abi.HOST6_KEY,
    "tcm_cidr4_key": abi.CIDR4_KEY,
    "tcm_cidr6_key": abi.CIDR6_KEY,
    "tcm_peer": abi.PEER,
    "tcm_rule_key": abi.RULE_KEY,
    "tcm_rule": abi.RULE,
    "tcm_failsafe_key": abi.FAILSAFE_KEY,
    "tcm_no_failsafe": abi.NO_FAILSAFE,
    "tcm_session4_key": abi.SESSION4_KEY,
    "tcm_session6_key": abi.SESSION6_KEY,
    "tcm_session": abi.SESSION,
    "tcm_settings": abi.SETTINGS,
    "tcm_count": abi.COUNT,
    "tcm_trial": abi.TRIAL,
    "tcm_difference_key": abi.DIFFERENCE_KEY,
    "tcm_expire_request": abi.EXPIRE_REQUEST,
    "tcm_event": abi.EVENT,
    "tcm_budget": abi.BUDGET,
    "tcm_sum_key": abi.SUM_KEY,
    "tcm_rate": abi.RATE,
    "tcm_vlan_key": abi.VLAN_KEY,
}
ENUMS = {
    "tcm_reason": abi.Reason,
    "tcm_session_state": abi.SessionState,
    "tcm_direction": abi.Direction,
    "tcm_verdict": abi.Verdict,
    "tcm_bank": abi.Bank,
    "tcm_default": abi.Default,
    "tcm_tcp_mode": abi.TcpMode,
    "tcm_session_flag": abi.SessionFlag,
    "tcm_session_table": abi.SessionTable,
    "tcm_answer": abi.AnswerWord,
}


COUNTS = (
    "STATES",
    "DIRECTIONS",
    "BANKS",
    "DEFAULTS",
    "TABLES",
)  # last members that only say how many


@pytest.fixture(scope="module")
def btf(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Of an object with one variable of every type: in the real one only those that maps use are left."""
    source = tmp_path_factory.mktemp("abi") / "types.c"
    names = [*(f"struct {name}" for name in STRUCTS), *(f"enum {name}" for name in ENUMS)]
    variables = "".join(f"{name} v{number};\n" for number, name in enumerate(names))
    source.write_text(f'#include "{ROOT}/bpf/abi.h"\n{variables}')
    built = compile_object(source.parent, source.with_suffix(".o"), source.name)
    argv = ["bpftool", "-j", "btf", "dump", "file", str(built)]
    return json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)["types"]


def named(btf: list[dict], kind: str, name: str) -> dict:
    return next(t for t in btf if t["kind"] == kind and t["name"] == name)


def size_of(btf: list[dict], number: int) -> int:
    found = next(t for t in btf if t["id"] == number)
    if found["kind"] == "ARRAY":
        return size_of(btf, found["type_id"]) * found["nr_elems"]
    return found["size"] if "size" in found else size_of(btf, found["type_id"])


def elements(btf: list[dict], number: int) -> list[int]:
    """Sizes of the scalars a field is made of; byte arrays and nested structs count as one."""
    found = next(t for t in btf if t["id"] == number)
    if found["kind"] != "ARRAY":
        return [size_of(btf, number)]
    each = size_of(btf, found["type_id"])
    return [each * found["nr_elems"]] if each == 1 else [each] * found["nr_elems"]


def scalars(layout: Struct) -> list[tuple[int, int]]:
    """(offset, size) of every value of a struct format, padding left out."""
    found, offset, digits = [], 0, ""
    for char in layout.format.lstrip("="):
        if char.isdigit():
            digits += char
            continue
        count, digits = int(digits or 1), ""
        if char == "x":
            offset += count
            continue
        size = count if char == "s" else Struct(f"={char}").size
        for _ in range(1 if char == "s" else count):
            found.append((offset, size))
            offset += size
    return found


@pytest.mark.parametrize("name", STRUCTS)
def test_struct_layout(btf, name):
    struct, layout = named(btf, "STRUCT", name), STRUCTS[name]
    assert struct["size"] == layout.size
    wanted = []
    for member in struct["members"]:
        offset = member["bits_offset"] // 8
        for size in elements(btf, member["type_id"]):
            wanted.append((offset, size))
            offset += size
    have = scalars(layout)
    pads = [
        (m["bits_offset"] // 8, size_of(btf, m["type_id"]))
        for m in struct["members"]
        if m["name"] in ("pad", "zero")  # both are always zero
    ]
    assert _bytes(have, pads) == _bytes(wanted, pads)


def test_the_fields_a_scan_looks_at_lie_where_abi_says(btf):
    offsets = {
        m["name"]: m["bits_offset"] // 8 for m in named(btf, "STRUCT", "tcm_session")["members"]
    }
    assert (offsets["state"], offsets["last_seen"]) == (abi.STATE_OFFSET, abi.LAST_SEEN_OFFSET)
    for name, layout in (
        ("tcm_session4_key", abi.SESSION4_KEY),
        ("tcm_session6_key", abi.SESSION6_KEY),
    ):
        [at] = [
            m["bits_offset"] // 8
            for m in named(btf, "STRUCT", name)["members"]
            if m["name"] == "protocol"
        ]
        assert at == layout.size - abi.PROTOCOL_FROM_END


def _bytes(fields: list[tuple[int, int]], pads: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Fields outside padding, with runs of single bytes told apart byte by byte (verdict[2] is "2B")."""
    padded = {n for offset, size in pads for n in range(offset, offset + size)}
    found = []
    for offset, size in fields:
        if offset in padded:
            continue
        found += [(n, 1) for n in range(offset, offset + size)] if size < 4 else [(offset, size)]
    return found


def test_places_of_settings(btf):
    places: list[str] = []
    for member in named(btf, "STRUCT", "tcm_settings")["members"]:
        places += [member["name"]] * len(elements(btf, member["type_id"]))
    for setting in abi.Setting:
        assert places[setting] == setting.name.lower()


@pytest.mark.parametrize("name", ENUMS)
def test_enum_numbers(btf, name):
    enum = named(btf, "ENUM", name)
    prefix = {
        "tcm_default": "TCM_DEFAULT_",
        "tcm_tcp_mode": "TCM_TCP_",
        "tcm_answer": "TCM_ANSWER_",
    }.get(name, "TCM_")
    values = {v["name"].removeprefix(prefix).removeprefix("TCM_"): v["val"] for v in enum["values"]}
    values = {k: v for k, v in values.items() if k.removeprefix("SESSION_") not in COUNTS}
    assert values == {member.name: member.value for member in ENUMS[name]}


def test_word_is_packed_as_documented():
    word = abi.Word(active=2, fallback=1, deadline_ms=123_456)
    assert word.encode() == 2 | 1 << 4 | 123_456 << 8
    assert abi.Word.decode(word.encode()) == word


def test_live_slot_of_a_word():
    assert abi.Word(2, 1, 0).live(10**9) == 2
    assert abi.Word(2, 1, 100).live(99) == 2
    assert abi.Word(2, 1, 100).live(100) == 1

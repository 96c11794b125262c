"""A thin ctypes binding to libbpf 1.x: open, load and pin an object; maps; test runs; links. Nothing else."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Collection, Iterator
from ctypes import (
    CFUNCTYPE,
    byref,
    c_bool,
    c_char_p,
    c_int,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
    create_string_buffer,
)
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tcmicro_agent.errors import KernelError, MapFullError

if TYPE_CHECKING:  # generic for the type checker only
    Bytes = ctypes.Array[ctypes.c_char]

BATCH = 4096
LRU_HASH = 9  # enum bpf_map_type
ENOENT, E2BIG, EINVAL, ENOSPC = 2, 7, 22, 28
# EINVAL, ENOSYS, EOPNOTSUPP or ENOTSUPP: what kernels say that have no such call
NO_BATCH = (EINVAL, 38, 95, 524)
CB_AT, CB_WORDS, CONTEXT_WORDS = 12, 5, 48  # cb of struct __sk_buff, in words of 32 bits
RUNS_AT = 48  # run_time_ns and run_cnt of struct bpf_prog_info, in words of 32 bits
MAX_PROGRAMS = 64  # on one hook of an interface, the kernel's own limit
BPF_F_BEFORE = 1 << 3
LIBBPF_DEBUG = 2  # enum libbpf_print_level
LOG_BYTES = 1 << 20
REASON_LINES = 4
END_OF_VERIFIER_LOG = "-- END PROG LOAD LOG --"


class _TestRunOptions(ctypes.Structure):
    """struct bpf_test_run_opts, libbpf 0.6 to 1.x."""

    _fields_ = [
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    ]


class _LinkOptions(ctypes.Structure):
    """struct bpf_link_create_opts, as far as it is the same in libbpf 0.6 to 1.x."""

    _fields_ = [("sz", c_size_t), ("flags", c_uint32), ("pad", c_uint32)]


_log: list[str] = []


def _collect_log(level: int, fmt: bytes, arguments: int) -> int:
    """Keeps warnings and what the verifier says, which comes as one of them."""
    if level < LIBBPF_DEBUG:
        buffer = create_string_buffer(LOG_BYTES)
        ctypes.CDLL(None).vsnprintf(buffer, c_size_t(LOG_BYTES), fmt, c_void_p(arguments))
        _log.extend(buffer.value.decode(errors="replace").splitlines())
    return 0


_LOG_FUNCTION = CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)(_collect_log)


@cache
def library() -> ctypes.CDLL:
    """libbpf as iproute2 brought it to the host."""
    try:
        lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as exc:
        raise KernelError(
            "libbpf.so.1 cannot be loaded", hint="install the package libbpf1"
        ) from exc
    for name in ("bpf_object__open_file", "bpf_object__next_map", "bpf_object__next_program"):
        getattr(lib, name).restype = c_void_p
    for name in ("bpf_map__name", "bpf_program__name"):
        getattr(lib, name).restype = c_char_p
    lib.libbpf_set_print(_LOG_FUNCTION)
    return lib


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno() or -result
        raise KernelError(f"{what}: {os.strerror(code)}")
    return result


def check_write(result: int, count: int) -> None:
    """A full hash table says E2BIG, a full prefix table ENOSPC."""
    if result < 0 and ctypes.get_errno() in (E2BIG, ENOSPC):
        raise MapFullError(f"no room in a map for {count} more entries")
    _check(result, f"write {count} map entries")


class Map:
    """A map by file descriptor. Keys and values are bytes; per-CPU values come as one value per CPU."""

    def __init__(self, fd: int, key_size: int, value_size: int, *, cpus: int = 0) -> None:
        self.fd = fd
        self.key_size = key_size
        self.value_size = value_size
        self._slot = (value_size + 7) // 8 * 8 if cpus else value_size
        self._value_bytes = self._slot * (cpus or 1)

    def get(self, key: bytes) -> bytes | None:
        value = create_string_buffer(self._value_bytes)
        if library().bpf_map_lookup_elem(self.fd, key, value) < 0:
            if ctypes.get_errno() == ENOENT:
                return None
            _check(-1, "read a map entry")
        return value.raw

    def get_each_cpu(self, key: bytes) -> list[bytes]:
        raw = self.get(key) or b""
        return [raw[at : at + self.value_size] for at in range(0, len(raw), self._slot)]

    def block(self, first: int, count: int) -> bytes | None:
        """The values of so many entries of an array in one call, each with that of every CPU; None where the kernel has
        no such call (5.10 for arrays per CPU)."""
        start = create_string_buffer((first - 1).to_bytes(4, sys.byteorder), 4) if first else None
        _, values, _ = self._get_batch(start, create_string_buffer(8), count)
        return values if len(values) == count * self._value_bytes else None

    def put(self, key: bytes, value: bytes) -> None:
        check_write(library().bpf_map_update_elem(self.fd, key, value, c_uint64(0)), 1)

    def delete(self, key: bytes) -> bool:
        """Removes an entry; False when it was not there."""
        if library().bpf_map_delete_elem(self.fd, key) < 0:
            if ctypes.get_errno() != ENOENT:
                _check(-1, "delete a map entry")
            return False
        return True

    def chunks(self, size: int = BATCH) -> Iterator[tuple[bytes, bytes]]:
        """All entries: the keys and the values of about `size` at a time, each as one string of bytes. Maps that the
        kernel has no batch call for (prefix tables before 5.13) come as a whole.

        An entry that comes or goes meanwhile may or may not be seen. Nothing is marked as used in an LRU map.
        """
        following = create_string_buffer(max(self.key_size, 8))
        start = None
        while True:
            keys, values, code = self._get_batch(start, following, size)
            if code == ENOSPC:  # one bucket alone holds more
                size *= 2
                continue
            if code in NO_BATCH:
                found = dict(self.items())
                keys, values, code = b"".join(found), b"".join(found.values()), ENOENT
            if keys:
                yield keys, values
            if code == ENOENT:
                return
            start = following

    def _get_batch(
        self, start: Bytes | None, following: Bytes, size: int
    ) -> tuple[bytes, bytes, int]:
        """Keys and values from a position on, and 0, ENOENT (these were the last), ENOSPC or one of NO_BATCH."""
        keys = create_string_buffer(size * self.key_size)
        values = create_string_buffer(size * self._value_bytes)
        count, lookup = c_uint32(size), library().bpf_map_lookup_batch
        code = 0
        if lookup(self.fd, start, following, keys, values, byref(count), None) < 0:
            code = ctypes.get_errno()
            if code not in (ENOENT, ENOSPC, *NO_BATCH):
                _check(-1, "read map entries")
        read = count.value if code in (0, ENOENT) else 0
        octets = read * self.key_size, read * self._value_bytes
        return ctypes.string_at(keys, octets[0]), ctypes.string_at(values, octets[1]), code

    def capacity(self) -> int:
        """How many entries it can hold."""
        return capacity(self.fd)

    def count(self) -> int:
        """How many entries it holds."""
        return sum(len(keys) for keys, _ in self.chunks()) // self.key_size

    def memory_bytes(self) -> int:
        """Kernel memory that it takes, as the kernel accounts for it."""
        said = Path(f"/proc/self/fdinfo/{self.fd}").read_text()
        found = (line.partition(":")[2] for line in said.splitlines() if line.startswith("memlock"))
        return int(next(found, "0"))

    def __iter__(self) -> Iterator[bytes]:
        """Every key; an entry that comes or goes meanwhile may or may not be seen."""
        following = create_string_buffer(self.key_size)
        key: bytes | None = None
        while library().bpf_map_get_next_key(self.fd, key, following) == 0:
            key = following.raw
            yield key

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        for key in self:
            value = self.get(key)
            if value is not None:
                yield key, value


class Program:
    """A loaded program by file descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @property
    def id(self) -> int:
        return _info_words(self.fd, 2)[1]

    def runs(self) -> tuple[int, int]:
        """How often it ran and for how many ns, while kernel.bpf_stats_enabled was 1 (struct bpf_prog_info)."""
        words = _info_words(self.fd, RUNS_AT + 4)[RUNS_AT:]
        ns, count = (words[n] | words[n + 1] << 32 for n in (0, 2))
        return count, ns

    def test_run(self, packet: bytes, *, repeat: int = 1) -> tuple[int, int]:
        """Runs the program on a packet: its return value, and the kernel's mean duration in ns."""
        options = self._run(packet, _TestRunOptions(repeat=repeat))
        return int(options.retval), int(options.duration)

    def ask(self, packet: bytes, word: int) -> tuple[int, tuple[int, ...]]:
        """Runs the program once with a first word in the context's cb: its return value, and cb as it left it."""
        context = (c_uint32 * CONTEXT_WORDS)()
        context[CB_AT] = word
        place, size = ctypes.addressof(context), ctypes.sizeof(context)
        options = _TestRunOptions(
            repeat=1, ctx_in=place, ctx_size_in=size, ctx_out=place, ctx_size_out=size
        )
        result = self._run(packet, options).retval
        return int(result), tuple(context[CB_AT : CB_AT + CB_WORDS])

    def _run(self, packet: bytes, options: _TestRunOptions) -> _TestRunOptions:
        data = create_string_buffer(packet, len(packet))
        options.sz = ctypes.sizeof(_TestRunOptions)
        options.data_in = ctypes.cast(data, c_void_p)
        options.data_size_in = len(packet)
        _check(library().bpf_prog_test_run_opts(self.fd, byref(options)), "test-run a program")
        return options


class Object:
    """A loaded object: its programs and maps by name."""

    def __init__(self, programs: dict[str, Program], maps: dict[str, int], handle: int) -> None:
        self.programs = programs
        self.maps = maps
        self._handle = handle

    def close(self) -> None:
        library().bpf_object__close(c_void_p(self._handle))


def load(
    path: Path,
    pins: Path,
    max_entries: dict[str, int],
    wanted: Callable[[str], bool] | None = None,
    own: Collection[str] = (),
) -> Object:
    """Loads the wanted programs of an object with every map pinned under `pins`; pinned maps of the same layout are
    taken over. With no `wanted`: those that do not wait to be asked for (their section begins with `?`).

    `max_entries` sizes maps that are not there yet; existing ones keep their size. Maps named by `own` are new ones,
    pinned nowhere.
    """
    lib = library()
    _log.clear()
    handle = lib.bpf_object__open_file(str(path).encode(), None)
    if not handle:
        raise KernelError(f"{path}: cannot be opened as a BPF object: {_last_log()}")
    maps = _named(handle, "map")
    for name, pointer in maps.items():
        if name in own:
            continue
        pin = pins / name
        size = pinned_size(pin) if pin.exists() else max_entries.get(name)
        if size:
            _check(lib.bpf_map__set_max_entries(pointer, c_uint32(size)), f"size {name}")
        _check(lib.bpf_map__set_pin_path(pointer, str(pin).encode()), f"pin {name}")
    programs = _named(handle, "program")
    if wanted:
        for name, pointer in programs.items():
            _check(lib.bpf_program__set_autoload(pointer, c_bool(wanted(name))), f"choose {name}")
    if lib.bpf_object__load(c_void_p(handle)) < 0:
        code = ctypes.get_errno()
        lib.bpf_object__close(c_void_p(handle))
        raise KernelError(f"{path}: the kernel refused it: {os.strerror(code)}: {_last_log()}")
    found = {name: lib.bpf_program__fd(pointer) for name, pointer in programs.items()}
    opened = {name: Program(fd) for name, fd in found.items() if fd >= 0}
    return Object(opened, {n: lib.bpf_map__fd(p) for n, p in maps.items()}, handle)


def load_around(path: Path, target: Program, function: str) -> Object:
    """Loads an object of fentry and fexit programs for a function of a loaded program; nothing is pinned."""
    lib = library()
    _log.clear()
    handle = lib.bpf_object__open_file(str(path).encode(), None)
    if not handle:
        raise KernelError(f"{path}: cannot be opened as a BPF object: {_last_log()}")
    programs, maps = _named(handle, "program"), _named(handle, "map")
    for name, pointer in programs.items():
        found = lib.bpf_program__set_attach_target(pointer, target.fd, function.encode())
        _check(found, f"aim {name} at {function}")
    if lib.bpf_object__load(c_void_p(handle)) < 0:
        code = ctypes.get_errno()
        lib.bpf_object__close(c_void_p(handle))
        raise KernelError(f"{path}: the kernel refused it: {os.strerror(code)}: {_last_log()}")
    opened = {name: Program(lib.bpf_program__fd(pointer)) for name, pointer in programs.items()}
    return Object(opened, {n: lib.bpf_map__fd(p) for n, p in maps.items()}, handle)


def attach_around(program: Program) -> int:
    """Has a program of `load_around` run; closing the descriptor ends that."""
    return _check(library().bpf_raw_tracepoint_open(None, program.fd), "attach around a program")


def enable_stats() -> int:
    """Has the kernel count runs of programs and their time, until the descriptor is closed (Linux 5.8)."""
    return _check(library().bpf_enable_stats(0), "have the kernel measure programs")


def _named(handle: int, kind: str) -> dict[str, c_void_p]:
    lib = library()
    following = getattr(lib, f"bpf_object__next_{kind}")
    found: dict[str, c_void_p] = {}
    pointer = following(c_void_p(handle), None)
    while pointer:
        name = getattr(lib, f"bpf_{kind}__name")(c_void_p(pointer)).decode()
        found[name] = c_void_p(pointer)
        pointer = following(c_void_p(handle), c_void_p(pointer))
    return found


def _last_log() -> str:
    """The last words of the verifier, or else of libbpf."""
    ends = [at for at, line in enumerate(_log) if line.endswith(END_OF_VERIFIER_LOG)]
    said = _log[: ends[-1]] if ends else _log
    telling = [line for line in said if line and not line.startswith("processed ")]
    return " | ".join(telling[-REASON_LINES:]) or "no reason given"


def _info_words(fd: int, count: int) -> tuple[int, ...]:
    """The first u32 words of the kernel's info struct for a map, program or link."""
    buffer = (c_uint32 * 64)()
    length = c_uint32(ctypes.sizeof(buffer))
    _check(library().bpf_obj_get_info_by_fd(fd, byref(buffer), byref(length)), "read object info")
    return tuple(buffer[:count])


def capacity(fd: int) -> int:
    """From struct bpf_map_info: type, id, key_size, value_size, max_entries."""
    return _info_words(fd, 5)[4]


def pinned_layout(pin: Path) -> tuple[int, int, int]:
    """Type, key size and value size of a pinned map."""
    fd = get(pin)
    try:
        kind, _, key, value = _info_words(fd, 4)
    finally:
        os.close(fd)
    return kind, key, value


def pinned_size(pin: Path) -> int:
    """max_entries of a pinned map."""
    fd = get(pin)
    try:
        return capacity(fd)
    finally:
        os.close(fd)


def get(pin: Path) -> int:
    """A file descriptor for what is pinned there."""
    return _check(library().bpf_obj_get(str(pin).encode()), f"open {pin}")


def pin(fd: int, path: Path) -> None:
    """Pins under a name, replacing what was there in one step."""
    temporary = path.with_name(path.name + "_new")
    temporary.unlink(missing_ok=True)
    _check(library().bpf_obj_pin(fd, str(temporary).encode()), f"pin {path}")
    os.rename(temporary, path)


def programs_at(ifindex: int, attach_type: int) -> list[int] | None:
    """Ids of the programs on a hook of an interface, in their order; None where the kernel has no such hook."""
    flags, count, ids = c_uint32(), c_uint32(MAX_PROGRAMS), (c_uint32 * MAX_PROGRAMS)()
    query = library().bpf_prog_query
    if query(ifindex, attach_type, c_uint32(0), byref(flags), ids, byref(count)) >= 0:
        return list(ids[: count.value])
    return None if ctypes.get_errno() == EINVAL else []


def link_create(program: Program, ifindex: int, attach_type: int, *, first: bool = False) -> int:
    """A link of a program to an interface hook, behind or (`first`) before all that is there."""
    options = _LinkOptions(sz=ctypes.sizeof(_LinkOptions), flags=BPF_F_BEFORE if first else 0)
    return _check(
        library().bpf_link_create(program.fd, ifindex, attach_type, byref(options)),
        f"attach to interface {ifindex}",
    )


def link_update(link: int, program: Program) -> None:
    """Swaps the program behind a link; no packet sees a gap."""
    _check(library().bpf_link_update(link, program.fd, None), "swap the program of a link")


def link_detach(link: int) -> None:
    """Takes the program off the hook now; closing and unpinning alone leave it there for a while."""
    _check(library().bpf_link_detach(link), "detach a link")


def link_target(link: int) -> tuple[int, int]:
    """(program id, interface index) of a tcx link; index 0 when the interface is gone."""
    words = _info_words(link, 6)
    return words[2], words[4]


def possible_cpus() -> int:
    return int(library().libbpf_num_possible_cpus())

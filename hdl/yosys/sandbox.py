"""Takes away, for good, what the calling process does not need for one piece of work: memory, time,
files, programs, the network.

For `hdl.yosys.worker`, in the process of a run; standard library only. What the system grants
without root is taken: limits of resources on every Unix; on Linux also Landlock (the file system,
programs, TCP ports, signals to others; kernel 5.13 and later) and a seccomp filter (system calls;
x86-64 and ARM64). What is not granted is passed over: docs/security.md says what holds where.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import math
import os
import platform
import resource
import signal
import sys
from dataclasses import dataclass

__all__ = [
    "Confinement",
    "address_space_bytes",
    "confine",
    "landlock_version",
    "limit_time",
    "mapped_files",
]


@dataclass(frozen=True)
class Confinement:
    """What is left to a process.

    Attributes:
        folder: what it may read and write.
        cpu_s: processor time, after which SIGPROF ends it; of each program it starts, after which
            SIGXCPU ends that.
        readable: files, or folders with all that is in them.
        programs: files that it may execute, the loader of their libraries among them; without any,
            it starts no process at all.
        memory_bytes: address space, what it has already included (:func:`address_space_bytes`).
        file_bytes: the largest file it may write.
    """

    folder: str
    cpu_s: float
    readable: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    memory_bytes: int = 8 << 30
    file_bytes: int = 1 << 30


def confine(what: Confinement) -> None:
    """Confines the calling process and all that it will start."""
    _limit_resources(what)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _restrict_files(libc, what)
        _restrict_calls(libc, programs=bool(what.programs))


def _limit_resources(what: Confinement) -> None:
    seconds = math.ceil(what.cpu_s)
    limits = {
        resource.RLIMIT_CPU: (seconds + 1, seconds + 2),
        resource.RLIMIT_FSIZE: (what.file_bytes, what.file_bytes),
        resource.RLIMIT_AS: (what.memory_bytes, what.memory_bytes),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (64, 64),
    }
    if not what.programs:
        limits[resource.RLIMIT_NPROC] = (0, 0)
    for limit, (soft, hard) in limits.items():
        _, highest = resource.getrlimit(limit)
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        with contextlib.suppress(OSError, ValueError):  # a system without this limit
            resource.setrlimit(limit, (soft, hard))
    limit_time(what.cpu_s)


def limit_time(cpu_s: float) -> None:
    """SIGPROF ends the calling process after so much processor time, to a fraction of a second;
    what it starts is not counted.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, max(cpu_s, 1e-3))


def mapped_files() -> tuple[str, ...]:
    """The files that are mapped into this process, its libraries among them; empty where the system
    does not tell.
    """
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            fields = [line.rstrip("\n").split(None, 5) for line in file]
    except OSError:
        return ()
    return tuple(sorted({line[5] for line in fields if len(line) == 6 and line[5].startswith("/")}))


def address_space_bytes() -> int:
    """What the calling process has; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


# linux/prctl.h, linux/landlock.h
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_FIFO, _TRUNCATE = (
    1 << bit for bit in (4, 5, 7, 8, 10, 14)
)
_READING = _READ_FILE | _READ_DIR
_WORKING = (
    _READING
    | _WRITE_FILE
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _MAKE_DIR
    | _MAKE_REG
    | _MAKE_FIFO
    | _TRUNCATE
)
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
#: Rights over files that each version of Landlock knows, as the highest bit.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_FILE_RIGHTS = 16
_TCP = 0b11
_SCOPES = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def landlock_version() -> int:
    """The version of Landlock that the kernel has, from 1; less where it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return int(
        libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    )


def _restrict_files(libc: ctypes.CDLL, what: Confinement) -> bool:
    """Landlock: nothing but what is named can be opened, written or executed, and no TCP port
    reached; False where there is none.
    """
    version = landlock_version()
    if version < 1:
        return False
    known = (1 << _FILE_RIGHTS.get(version, _NEWEST_FILE_RIGHTS)) - 1
    ruleset = _Ruleset(known, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = libc.syscall(
        _CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0)
    )
    if rules < 0:
        return False
    granted = [(what.folder, _WORKING), *((path, _READING) for path in what.readable)]
    granted += [(path, _EXECUTE | _READ_FILE) for path in what.programs]
    granted += [("/dev/null", _READ_FILE | _WRITE_FILE)]
    for path, rights in granted:
        _allow(libc, rules, path, rights & known)
    restricted: bool = libc.syscall(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0)) == 0
    os.close(rules)
    return restricted


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    with contextlib.suppress(OSError):  # what is not there needs no rule
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not os.path.isdir(path):
                rights &= _OF_FILES
            rule = _PathRule(rights, place)
            libc.syscall(
                _ADD_RULE,
                ctypes.c_int(rules),
                ctypes.c_int(_PATH_BENEATH),
                ctypes.byref(rule),
                ctypes.c_uint32(0),
            )
        finally:
            os.close(place)


# System calls by number: (x86-64, ARM64); None where an architecture does not have it.
_OUTWARD = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kill": (62, 129),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "open_by_handle_at": (304, 265),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "pidfd_open": (434, 434),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
}
_STARTING = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
}
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000

# linux/bpf_common.h, linux/seccomp.h
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_CALL_OFFSET, _ARCHITECTURE_OFFSET = 0, 4
_KILL, _ALLOW, _DENY = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM
_FILTER_MODE = 2


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("yes", ctypes.c_uint8),
        ("no", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


@functools.cache
def _filter(machine: str, programs: bool) -> list[tuple[int, int, int, int]]:
    """The instructions: another architecture's calls kill, the named ones fail, all others pass."""
    column, architecture = _ARCHITECTURES[machine]
    calls = {**_OUTWARD, **({} if programs else _STARTING)}
    denied = [number for numbers in calls.values() if (number := numbers[column]) is not None]
    checks = [(_EQUAL, len(denied) - index, 0, number) for index, number in enumerate(denied)]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _CALL_OFFSET),
        (_AT_LEAST, len(denied) + 1, 0, _X32),
        *checks,
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _DENY),
    ]


def _restrict_calls(libc: ctypes.CDLL, *, programs: bool) -> bool:
    """seccomp: no sockets, no looking into other processes and, without programs, no new processes;
    False where there is no filter.
    """
    if platform.machine() not in _ARCHITECTURES:
        return False
    instructions = _filter(platform.machine(), programs)
    array = (_Instruction * len(instructions))(
        *(_Instruction(*instruction) for instruction in instructions)
    )
    program = _Program(len(instructions), array)
    done: bool = libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0) == 0
    return done

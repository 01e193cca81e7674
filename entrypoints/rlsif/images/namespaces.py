"""What an ordinary user may do on a machine without an administrator: user namespaces, and ids inside of them.

Run as a program, it makes this process root of a user namespace that has one id, its user's own, and becomes the
program named by its arguments. With one id no file can be given to another user or group, which packages want for some
of theirs. So a seccomp filter answers such calls with success and has them do nothing; images have all files owned by
root anyway. The numbers are those of x86-64: see seccomp(2), and userspace-api/seccomp_filter of the kernel's manual.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ID_FILES = (Path("/etc/subuid"), Path("/etc/subgid"))
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
SECONDS = 10
# chown, fchown, lchown, fchownat.
CALLS = (92, 93, 94, 260)
X86_64 = 0xC000003E
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO_ZERO = 0x7FFF0000, 0x00050000
# Offsets in what a filter sees of a call.
NUMBER, ARCHITECTURE = 0, 4
NO_NEW_PRIVILEGES, SET_SECCOMP, MODE_FILTER = 38, 22, 2


def user() -> str:
    """The name of this process's user; the number where it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def lacking_for_many_ids(files: Sequence[Path] = ID_FILES) -> str:
    """What this user lacks to map subordinate ids into a user namespace, in a few words; empty where nothing lacks."""
    without = [str(file) for file in files if not _names(file, user())]
    if without:
        return f"no line in {' and '.join(without)}"
    return "" if shutil.which("newuidmap") else "no newuidmap on PATH"


def _names(file: Path, name: str) -> bool:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return False
    return any(line.split(":")[0] in (name, str(os.getuid())) for line in lines)


def are_allowed() -> bool:
    """Whether this user may make a user namespace and act as root in it."""
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def as_root_of_one_id(command: Sequence[str]) -> list[str]:
    """The command line that runs a command so."""
    return [sys.executable, __file__, *command]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def _filter() -> bytes:
    """A program of the kernel's that answers CALLS with success, and lets all others pass."""

    def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, if_true, if_false, value)

    # Jumps count the instructions between; all calls jump to the last one.
    jumps = [instruction(JUMP_IF_EQUAL, call, len(CALLS) - place) for place, call in enumerate(CALLS)]
    return b"".join(
        [
            instruction(LOAD, ARCHITECTURE),
            instruction(JUMP_IF_EQUAL, X86_64, 1, 0),
            instruction(RETURN, ALLOW),
            instruction(LOAD, NUMBER),
            *jumps,
            instruction(RETURN, ALLOW),
            instruction(RETURN, ERRNO_ZERO),
        ]
    )


def _feign_ownership() -> None:
    """Have this process and all that it starts believe that files can be given away."""
    code = _filter()
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for arguments in ((NO_NEW_PRIVILEGES, 1, 0, 0, 0), (SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0)):
        if prctl(*arguments) != 0:
            sys.exit(f"error: this kernel takes no seccomp filter: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    _feign_ownership()
    os.execvp(UNSHARE[0], [*UNSHARE, "--pid", "--fork", "--kill-child", *sys.argv[1:]])

"""What a user can cause, said in one sentence, and how commands end on it."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import errno
import faulthandler
import functools
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

BAD_INPUT = 2
FAILED_RUN = 1
# A run that was interrupted with a checkpoint, and whose job is to be requeued; EX_TEMPFAIL of sysexits.h.
REQUEUE = 75
# What a disk or its administrator decides, which no command can foresee.
OF_DISKS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)


class Terminal:
    """Where a user reads errors: a file descriptor, also while all that libraries print goes to a file."""

    stderr = 2


class RlsifError(Exception):
    """A failure with a sentence for the user; `exit_code` is what the command ends with."""

    exit_code = FAILED_RUN


class InputError(RlsifError):
    """Something the user gave cannot be right. Exit code 2."""

    exit_code = BAD_INPUT


class Elsewhere(Exception):
    """An exception of another process, as its traceback tells it."""

    def __init__(self, frames: list[traceback.FrameSummary], said: list[str]) -> None:
        """Take the frames, and the lines that follow them in a traceback."""
        super().__init__(frames, said)
        self.frames, self.said = frames, said

    def __str__(self) -> str:
        """The exception without its frames."""
        return "".join(self.said).strip()


def check_at_least(limits: Mapping[str, tuple[float | None, float]]) -> None:
    """Refuse options, as name -> (value, least), that are below their least; None was not given. Raises InputError."""
    for name, (value, least) in limits.items():
        if value is not None and not value >= least:
            raise InputError(f"{name} is {value}; it must be at least {least}")


# Seconds between what is said and the end of the process: the image may be unmounted with that.
MOMENT = 1.0
# Says that it is there, and waits for a line from a process, for so many seconds; says a sentence where none comes, and
# removes folders when the process has ended, which it does a moment later. It ends one that has set a timer of its own.
WATCH = """
echo
read -rt "$1"
[ $? -gt 128 ] || exit 0
echo "error: $2" >&2
read -rt 5
[ $? -gt 128 ] && kill -KILL "$PPID" 2>/dev/null
shift 2
rm -rf -- "$@"
exit 1
"""


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Leave out what Python prints on stderr meanwhile."""
    with contextlib.redirect_stderr(_nowhere()):
        yield


@functools.cache
def _nowhere() -> TextIO:
    # A file that stays open: an environment may give its descriptor to faulthandler.
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115
    atexit.register(nowhere.close)
    return nowhere


@contextlib.contextmanager
def ended_unless_over(seconds: float, said: str, folders: Iterable[Path] = ()) -> Iterator[None]:
    """End this process by a sentence where the block takes longer, and leave none of the folders.

    What is waited for lets no exception through, and C++ may keep every thread of Python from running; this needs none.
    """
    seconds = min(seconds, threading.TIMEOUT_MAX - MOMENT)
    words = [f"{seconds:.3f}", said, *map(str, folders)]
    bash, pipe = ["bash", "-c", WATCH, "watch", *words], subprocess.PIPE
    watch = subprocess.Popen(bash, stdin=pipe, stdout=pipe, stderr=Terminal.stderr)
    assert watch.stdout is not None
    watch.stdout.readline()
    # What was printed until then is not lost, where Python runs.
    flush = threading.Timer(0.9 * seconds, sys.stdout.flush)
    flush.daemon = True
    flush.start()
    faulthandler.dump_traceback_later(seconds + MOMENT, exit=True, file=_nowhere())
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        flush.cancel()
        watch.communicate(b"\n")
        if watch.returncode == FAILED_RUN:
            # It came back in the last moment, when the end was said.
            sys.stdout.flush()
            os._exit(FAILED_RUN)


@contextlib.contextmanager
def told_in_one_sentence() -> Iterator[None]:
    """Print an RlsifError as `error: ...` on stderr and exit with its code; RLSIF_DEBUG=1 shows the traceback.

    The same for what a disk refuses.
    """
    try:
        yield
    except RlsifError as error:
        if os.environ.get("RLSIF_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        if error.errno not in OF_DISKS or os.environ.get("RLSIF_DEBUG") == "1":
            raise
        print(f"error: {error.filename or 'a file'} cannot be read or written: {error.strerror}", file=sys.stderr)
        raise SystemExit(FAILED_RUN) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def near(name: str, valid: Iterable[str]) -> str:
    """`; did you mean A or B?` for the valid names nearest to this one, or nothing."""
    names = difflib.get_close_matches(name, list(valid), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(names)}?" if names else ""


def counted(number: float, what: str, form: str = "") -> str:
    """`1 env runner`, `2 env runners`, `0.5 GPUs`; whole numbers in a form, as `,`."""
    text = f"{number:g}" if isinstance(number, float) else f"{number:{form}}"
    return f"{text} {what}{'' if number == 1 else 's'}"

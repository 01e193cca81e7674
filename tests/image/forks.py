"""Runs commands in forks of one process that has imported what most commands import. For tests alone.

Usage, inside the image: python forks.py SOCKET. It ends with its standard input, which whoever started it holds.

A command's process has the arguments, environment, folder and files that it was sent, and is else as a new one: a
session of its own, default signals, its script's place on sys.path, its own random numbers. RLlib and TensorFlow
are imported, but nothing of them was used: no threads, no session, no Ray. Python's programs run in the fork itself;
any other program replaces it. So does what a command's code and Ray start by sys.executable: see forked_python.py.
"""

import contextlib
import faulthandler
import gc
import importlib
import os
import random
import select
import shutil
import signal
import socket
import sys
import threading
import time
import types
from pathlib import Path

from asking import asked

# RLlib before TensorFlow: it sets TensorFlow up when it is the first to import it.
IMPORTED = ("ray", "ray.rllib", "tensorflow", "ray.tune", "gymnasium", "typer", "rich", "tensorboardX", "yaml")
IMPORTED += tuple(f"ray.rllib.algorithms.{name}" for name in ("ppo", "appo", "impala", "dqn", "sac"))
IMPORTED += ("ray._private.log_monitor",)
# What Ray reads when it is imported. A worker is told its job, the first of its Ray, and, in `prepare`, a process to
# end with: it ends with its raylet before.
BEFORE = {"RAY_AUTH_MODE": "token", "RAY_JOB_ID": "01000000"}
THREADS_END_WITHIN = 60
PYTHON = Path(__file__).with_name("forked_python.py")
# Shortly before a test gives up: see SECONDS in tests/commands.py.
STANDS_STILL_AFTER = 570
WHERE_IT_STANDS = signal.SIGUSR2


def main(path):
    """Serve until standard input ends; in a fork, give its command."""
    given = {**os.environ, "RLSIF_FORKS": path}
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(100)
    prepared = False
    while True:
        ready, _, _ = select.select([server, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        # Who runs tests without an image never asks.
        prepared = prepared or prepare()
        connection, _ = server.accept()
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return supervised(connection, given)
        connection.close()


def prepare():
    """Import everything, and wait until only this thread is left: a fork has no other."""
    os.environ.update(BEFORE, RAY_RAYLET_PID=str(os.getpid()))
    for module in IMPORTED:
        importlib.import_module(module)
    deadline = time.monotonic() + THREADS_END_WITHIN
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(0, deadline - time.monotonic()))
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    return True


def supervised(connection, given):
    """Fork once more: the child gives its command; this process tells the child's end, and ends it with the client."""
    request, files = asked(connection)
    child = os.fork()
    if child == 0:
        connection.close()
        become({**given, **request["env"]}, request["cwd"], files)
        tell_stacks_when_asked(given["RLSIF_FORKS"])
        return lambda: run(request["arguments"])
    for file in files:
        os.close(file)
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([connection, ended], [], [], STANDS_STILL_AFTER)
    if not ready:
        os.kill(child, WHERE_IT_STANDS)
        ready, _, _ = select.select([connection, ended], [], [])
    if ended not in ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    # Who asked may have gone.
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def become(environment, folder, files):
    """Make this process that of a command."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.executable = str(PYTHON)
    random.seed()
    sys.modules["numpy"].random.seed()
    # Ray's C++ has its random numbers as they were at the fork, and would name the same objects as all other children.
    draw = sys.modules["ray._raylet"].ObjectID.from_random
    for _ in range(os.getpid() % 1000 * 64):
        draw()


def tell_stacks_when_asked(path):
    """Have this process write where it stands to the log of who forked it, by a signal; commands need the timer."""
    log = os.open(Path(path).with_name("log"), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    faulthandler.register(WHERE_IT_STANDS, file=log)


def run(arguments):
    """Run a program: Python's in this process."""
    name, *rest = arguments
    path = shutil.which(name)
    if name == "python":
        run_python(rest)
    elif path and Path(path).read_bytes()[:64].startswith(f"#!{sys.prefix}/bin/python\n".encode()):
        run_code(Path(path).read_text(), path, rest)
    else:
        replaced_by(name, arguments)


def replaced_by(name, arguments):
    """Become another program; say as Apptainer does that it is not there."""
    try:
        os.execvp(name, arguments)
    except FileNotFoundError:
        print(f'FATAL:   "{name}": executable file not found in $PATH', file=sys.stderr)
        sys.exit(255)


def run_python(arguments):
    """Run what Python is told to, a script or code."""
    while arguments[0] in ("-u", "-s", "-S"):
        arguments = arguments[1:]
    what, *rest = arguments
    if what == "-c":
        run_code(rest[0], "-c", rest[1:])
    else:
        run_code(Path(what).read_text(), what, rest)


def run_code(code, file, arguments):
    """Run code as the main module."""
    sys.argv = [file, *arguments]
    own = str(Path(__file__).parent)
    sys.path[:] = ["" if file == "-c" else str(Path(file).parent), *(place for place in sys.path if place != own)]
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    if file != "-c":
        module.__file__ = file
    exec(compile(code, file, "exec"), module.__dict__)


if __name__ == "__main__":
    main(sys.argv[1])()

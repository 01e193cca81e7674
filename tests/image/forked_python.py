#!/opt/rl/bin/python -IS
"""Python, where it runs what forks.py can run in a fork: code that imports RLlib, Ray's workers and monitor of logs.

forks.py gives it to its commands as sys.executable. Other programs get Python itself: Ray's agents want to be
children of who started them.
"""

import os
import sys

PYTHON = "/opt/rl/bin/python"
FORKED = ("log_monitor.py", "default_worker.py")


def main(arguments):
    """Run Python with these arguments."""
    program = next((a for a in arguments if not a.startswith("-") or a == "-c"), "")
    if program != "-c" and not program.endswith(FORKED):
        os.execv(PYTHON, [PYTHON, *arguments])
    sys.path.insert(0, __file__.rpartition("/")[0])
    from asking import ask

    request = {"arguments": ["python", *arguments], "env": dict(os.environ), "cwd": os.getcwd()}
    code = ask(os.environ["RLSIF_FORKS"], request, [0, 1, 2])
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


main(sys.argv[1:])

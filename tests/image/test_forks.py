"""The fixture `shell` beside the fixture `container`: to a command, a fork is a process like any other."""

import json

import pytest

LOOKS = """
import json, os, resource, signal, sys, threading
names = ("SIGINT", "SIGTERM", "SIGCHLD", "SIGPIPE", "SIGUSR1")
# Of the moment: where Apptainer notes its process, who asks, and what packages set that another test has imported.
moment = ("APPTAINER_", "SINGULARITY_", "PYTEST_", "RLSIF_FORKS", "RL_READ_AHEAD", "_", "PWD", "OLDPWD")
moment += ("PYGAME_HIDE_SUPPORT_PROMPT", "CRC32C_SW_MODE", "COLUMNS", "LINES")
print(json.dumps({
    "arguments": sys.argv, "path": [p for p in sys.path if "/ray/" not in p and not p.endswith("/_vendor")],
    "flags": list(sys.flags), "name": __name__, "folder": os.getcwd(),
    "environment": {k: v for k, v in os.environ.items() if not k.startswith(moment[:4]) and k not in moment[4:]},
    "signals": [str(signal.getsignal(getattr(signal, name))) for name in names],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "files": [os.isatty(0), os.isatty(1), os.isatty(2), sys.stdin.read()],
    "descriptors": sorted(int(n) for n in os.listdir("/proc/self/fd") if int(n) > 2 and
        not any(own in os.path.realpath("/proc/self/fd/" + n) for own in ("modules.bundle", "rlsif-forks-")) and
        os.path.exists("/proc/self/fd/" + n)),
    "buffered": [sys.stdout.line_buffering, sys.stderr.line_buffering, sys.stdout.encoding, sys.stdout.errors],
    "umask": os.umask(0o22), "cores": sorted(os.sched_getaffinity(0)), "priority": os.nice(0),
    "open files": resource.getrlimit(resource.RLIMIT_NOFILE), "threads": threading.active_count(),
    "user": [os.getuid(), os.getgid(), os.getgroups()], "prefix": sys.prefix,
}))
"""


def test_a_fork_finds_what_a_new_process_finds(container, shell):
    given = {"GIVEN": "by the test", "OMP_NUM_THREADS": "1"}
    one, other = (
        json.loads(typed("python", "-c", LOOKS, "a b", "c", env=given).stdout) for typed in (container, shell)
    )
    for what in one:
        assert other[what] == one[what], what
    assert other["arguments"] == ["-c", "a b", "c"] and other["environment"]["GIVEN"] == "by the test"


@pytest.mark.parametrize(
    "code",
    ["raise SystemExit(3)", "raise ValueError('why')", "import os; os._exit(4)", "raise SystemExit('why')"],
)
def test_it_ends_as_a_new_process_does(container, shell, code):
    one, other = (typed("python", "-c", code) for typed in (container, shell))
    assert other.returncode == one.returncode != 0
    assert (other.stdout, other.stderr.splitlines()[-1:]) == (one.stdout, one.stderr.splitlines()[-1:])


def test_the_death_of_a_process_is_told(shell):
    assert shell("python", "-c", "import os; os.kill(os.getpid(), 9)").returncode == -9
    assert shell("sh", "-c", "echo said; exit 7").returncode == 7
    assert shell("sh", "-c", "echo said").stdout == "said\n"


def test_forks_draw_numbers_of_their_own(shell):
    code = "import random, numpy; print(random.random(), numpy.random.rand())"
    one, other = (shell("python", "-c", code).stdout.split() for _ in range(2))
    assert set(one).isdisjoint(other)


def test_nothing_of_tensorflow_is_used_before_the_fork(shell):
    code = "import os, threading; print(threading.active_count(), 'tensorflow' in __import__('sys').modules)"
    assert shell("python", "-c", code).stdout == "1 True\n"
    code = "import tensorflow as tf; print(tf.compat.v1.get_default_graph().get_operations())"
    assert shell("python", "-c", code).stdout == "[]\n"


def test_a_program_that_is_not_there_is_told(shell):
    done = shell("trainn")
    assert done.returncode == 255 and "trainn" in done.stderr


# A task of Ray's, in the Ray of a run; when that is over, so is the worker.
TASK = """
import os, sys, time
from rlsif.cluster import local_ray
from rlsif.cluster.resources import available
with local_ray.started(available()):
    import ray
    task = ray.remote(lambda: (os.getpid(), "tensorflow" in sys.modules))
    number, forked = ray.get(task.remote())
deadline = time.monotonic() + 60
while os.path.exists(f"/proc/{number}") and time.monotonic() < deadline:
    time.sleep(0.1)
print(forked, number != os.getpid(), os.path.exists(f"/proc/{number}"))
"""


def test_a_worker_of_rays_is_a_fork_that_ends_with_its_ray(shell):
    done = shell("python", "-c", TASK)
    assert done.stdout.splitlines()[-1:] == ["True True False"], done.stderr

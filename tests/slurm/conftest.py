"""A cluster for all tests of a process, and jobs on it."""

import contextlib
import functools
import itertools
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import CHECKOUT, POLL, USERS, Cluster
from tests.jobs import PATIENCE
from tests.rows import check_rows

from rlsif.images.apptainer import find

ROOT = Path(__file__).parents[2]
# Small steps, so that an iteration takes a fraction of a second.
SMALL = ("--set", "train_batch_size=400", "--set", "minibatch_size=100", "--set", "num_epochs=2")
FOLDERS = itertools.count()
# Ports of slurmctld, slurmd and sshd.
OF_THE_SITE = {"6817", "6818", "22"}
TRAIN = ("--env", "CartPole-v1", "--num-gpus", "0", *SMALL)
# No speed of training may decide a test: a run that is to be there for a while has no end of its own.
ENDLESS = ("--stop-iters", str(10**9))
# One that takes few of the machine's cores; and such a run without an end.
WAITS = ("--env", "../waiting.py:Waiting", *TRAIN[2:])
STAYS = (*WAITS, *ENDLESS)


@pytest.fixture(scope="session")
def slurm(rl_sif, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root, to make the namespaces of a test cluster")
    for program in ("ip", "unshare", "nsenter", "setpriv", "pivot_root"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}, for the nodes of a test cluster")
    found = find()
    folder = tmp_path_factory.mktemp("slurm")
    cluster = Cluster(folder, ROOT, found.program, patience=PATIENCE)
    for parent in (folder, *folder.parents):
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    try:
        cluster.boot()
        yield cluster
    finally:
        cluster.shut_down()


@functools.cache
def row(line):
    """A line of result.json as a dictionary; a file is read again and again while it grows."""
    return json.loads(line)


@dataclass
class Job:
    """A job that a user has submitted."""

    cluster: Cluster
    user: str
    id: str
    folder: Path

    @property
    def output(self):
        path = self.folder / f"rl-{self.id}.out"
        return path.read_text() if path.exists() else ""

    @property
    def files(self):
        return self.folder / "runs" / self.id

    @property
    def state(self):
        said = self.cluster("scontrol", "show", "job", self.id).stdout
        return said.split("JobState=")[1].split()[0]

    @property
    def run(self):
        """The run's folder, as this machine sees it."""
        inside = (self.files / "run").read_text()
        return self.cluster.folder / "home" / Path(inside).relative_to("/home")

    @property
    def rows(self):
        path = self.run / "result.json"
        return [row(line) for line in path.read_text().splitlines() if line.endswith("}")]

    @property
    def summary(self):
        return json.loads((self.run / "summary.json").read_text())

    def iterations(self):
        """The iterations so far; 0 before the first."""
        try:
            return (self.run / "result.json").read_bytes().count(b"}\n")
        except OSError:
            return 0

    def until(self, condition, seconds, what):
        """Poll until a condition holds."""
        seconds *= PATIENCE
        deadline = time.monotonic() + seconds
        asked = 0.0
        while not condition():
            now = time.monotonic()
            # Slurm is asked less often, for that takes longer than most conditions.
            over = False
            if now > asked + 2:
                asked, state = now, self.state
                over = state in ("FAILED", "CANCELLED", "COMPLETED")
                if state == "PENDING":
                    self.cluster.look_again()
            assert condition() or not (over or now > deadline), f"not within {seconds} s: {what}; it is {self.state}"
            time.sleep(POLL)

    def trains(self):
        """Wait until it does."""
        self.until(lambda: self.iterations() > 3, 90, "it trains")

    def wait(self, *states, seconds=120):
        """Wait until the job is in one of these states."""
        self.until(lambda: self.state in states, seconds, " or ".join(states))

    def completes(self, seconds=180):
        """Wait for its end, which must be a good one."""
        self.wait("COMPLETED", "FAILED", seconds=seconds)
        assert self.state == "COMPLETED"

    def nodes(self, role):
        """The names of the nodes with a role."""
        return sorted(log.parent.name for log in self.files.glob(f"logs/*/{role}.log"))

    def told(self):
        """Everything that one reads when a job fails."""
        logs = [f"== {p}\n{p.read_text(errors='replace')[-3000:]}" for p in self.files.glob("logs/*/*.log")]
        return "\n".join([self.output, *logs])


class Submit:
    """Submits a script of slurm/ as a user: `submit("hetjob", *TRAIN, sbatch=[...])`."""

    def __init__(self, slurm):
        """Submit nothing yet."""
        self.slurm, self.jobs = slurm, []

    def __call__(self, script, *train, sbatch=(), user="alice", before=(), **variables):
        name = f"a folder {next(FOLDERS)}"
        home = self.slurm.folder / "home" / user
        folder = home / name
        folder.mkdir()
        os.chown(folder, home.stat().st_uid, home.stat().st_gid)
        variables.setdefault("RL_IMAGE_GPU", f"{CHECKOUT}/rl.sif")
        variables.setdefault("RL_WAIT", str(60 * PATIENCE))
        # Lets one test code that is not in the image yet, by binding it over the image's.
        variables.setdefault("RL_BIND", os.environ.get("RL_BIND", ""))
        command = [*before, "sbatch", f"--chdir=/home/{user}/{name}", "--parsable", *sbatch]
        done = self.slurm(*command, f"{CHECKOUT}/slurm/{script}.sh", *train, user=user, check=False, **variables)
        assert done.returncode == 0, done.stderr
        job = Job(self.slurm, user, done.stdout.split(";")[0].strip(), folder)
        self.jobs.append(job)
        self.slurm.jobs.append(job)
        return job


@contextlib.contextmanager
def submitting(slurm):
    """A Submit whose jobs are cancelled in the end; they must leave nothing, and have lost or doubled no row."""
    submit = Submit(slurm)
    try:
        yield submit
    finally:
        for job in submit.jobs:
            slurm("scancel", "--full", job.id, check=False)
        slurm.boot_again()
        slurm.wait_until(lambda: slurm.idle() >= set(slurm.names), 90, "all nodes are idle again")
        left = leftovers(slurm)
        if left:
            # It is this test's failure, and not also that of those that follow.
            remove_leftovers(slurm)
        assert left == [], left
        for job in submit.jobs:
            if (job.files / "run").exists():
                check_rows(job.run)


@pytest.fixture
def submit(slurm):
    with submitting(slurm) as submit:
        yield submit


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Add to the report of a failed test what Slurm and its jobs say."""
    report = yield
    if report.failed:
        slurm = item.funcargs.get("slurm")
        # Those of this test are the last ones.
        for job in slurm.jobs[-3:] if slurm else []:
            report.sections.append((f"job {job.id}", job.told()))
        if slurm and slurm.is_up:
            report.sections.append(("cluster", slurm.state()))
    return report


def leftovers(slurm):
    """What jobs have left on the nodes: processes, files, listening ports."""
    deadline = time.monotonic() + 10 * PATIENCE
    while True:
        found = []
        for name in slurm.names:
            found += [f"{name}: {p}" for p in slurm.nodes[name].processes() if "<defunct>" not in p]
            listing = slurm("sh", "-c", "ls /tmp /dev/shm | grep -v ':$' | grep . || true", node=name).stdout.split()
            found += [f"{name}: {file}" for file in listing]
            listening = slurm("ss", "-Hltn", node=name).stdout.splitlines()
            ports = {line.split()[3].rpartition(":")[2] for line in listening}
            found += [f"{name}: port {port} is listened on" for port in ports - OF_THE_SITE]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def remove_leftovers(slurm):
    """Take away what jobs have left on the nodes."""
    for name in slurm.names:
        slurm("sh", "-c", f"pkill -KILL -u {','.join(USERS)}; rm -rf /tmp/* /dev/shm/*", node=name, check=False)


HETJOB = ("--cpus-per-task=1", ":", "--cpus-per-task=1", "--nodes=2", ":", "--cpus-per-task=1", "--gres=none")
# The learner's group as the script has it, with a GPU.
WITH_GPU = (*HETJOB[:-1], "--gres=gpu:1")

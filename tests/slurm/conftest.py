"""One cluster for all tests, and jobs on it."""

import itertools
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import CHECKOUT, NODES, Cluster

from rlsif.images.apptainer import find

ROOT = Path(__file__).parents[2]
# Small steps, so that an iteration takes a fraction of a second.
SMALL = ("--set", "train_batch_size=400", "--set", "minibatch_size=100", "--set", "num_epochs=2")
FOLDERS = itertools.count()
# Ports of slurmctld and slurmd.
SLURMS_OWN = {"6817", "6818"}
TRAIN = ("--env", "CartPole-v1", "--num-gpus", "0", *SMALL)


@pytest.fixture(scope="session")
def slurm(rl_sif, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root, to make the namespaces of a test cluster")
    for program in ("ip", "unshare", "nsenter", "setpriv", "pivot_root"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}, for the nodes of a test cluster")
    found = find()
    folder = tmp_path_factory.mktemp("slurm")
    cluster = Cluster(folder, ROOT, found.program)
    for parent in (folder, *folder.parents):
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    try:
        cluster.boot()
        yield cluster
    finally:
        cluster.shut_down()


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
        return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]

    @property
    def summary(self):
        return json.loads((self.run / "summary.json").read_text())

    def iterations(self):
        """The iterations so far; 0 before the first."""
        try:
            return len(self.rows)
        except OSError:
            return 0

    def until(self, condition, seconds, what):
        """Poll until a condition holds; the job's own words are shown when it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            over = self.state in ("FAILED", "CANCELLED", "COMPLETED")
            late = time.monotonic() > deadline
            assert condition() or not (over or late), f"not within {seconds} s: {what}\n{self.told()}"
            time.sleep(0.2)

    def wait(self, *states, seconds=120):
        """Wait until the job is in one of these states."""
        self.until(lambda: self.state in states, seconds, f"{' or '.join(states)}, it is {self.state}")

    def told(self):
        """Everything that one reads when a job fails."""
        logs = [f"== {p}\n{p.read_text(errors='replace')[-3000:]}" for p in self.files.glob("logs/*/*.log")]
        return "\n".join([self.output, *logs, self.cluster.state()])


@pytest.fixture
def submit(slurm):
    """Submit a script of slurm/ as a user: `submit("hetjob", *TRAIN, sbatch=[...])`."""
    jobs = []

    def submit(script, *train, sbatch=(), user="alice", **variables):
        name = f"a folder {next(FOLDERS)}"
        home = slurm.folder / "home" / user
        folder = home / name
        folder.mkdir()
        os.chown(folder, home.stat().st_uid, home.stat().st_gid)
        variables.setdefault("RL_IMAGE_GPU", f"{CHECKOUT}/rl.sif")
        variables.setdefault("RL_WAIT", "60")
        # Lets one test code that is not in the image yet, by binding it over the image's.
        variables.setdefault("RL_BIND", os.environ.get("RL_BIND", ""))
        done = slurm(
            "sbatch", f"--chdir=/home/{user}/{name}", "--parsable", *sbatch, f"{CHECKOUT}/slurm/{script}.sh", *train,
            user=user, check=False, **variables,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        job = Job(slurm, user, done.stdout.split(";")[0].strip(), folder)
        jobs.append(job)
        return job

    yield submit
    for job in jobs:
        slurm("scancel", "--full", job.id, check=False)
    slurm.wait_until(lambda: slurm.idle() >= set(NODES), 90, "all nodes are idle again")
    left = leftovers(slurm)
    assert left == [], left


def leftovers(slurm):
    """What jobs have left on the nodes: processes, files, listening ports."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for name in NODES:
            found += [f"{name}: {p}" for p in slurm.nodes[name].processes() if "<defunct>" not in p]
            listing = slurm("sh", "-c", "ls /tmp /dev/shm | grep -v ':$' | grep . || true", node=name).stdout.split()
            found += [f"{name}: {file}" for file in listing]
            listening = slurm("ss", "-Hltn", node=name).stdout.splitlines()
            ports = {line.split()[3].rpartition(":")[2] for line in listening}
            found += [f"{name}: port {port} is listened on" for port in ports - SLURMS_OWN]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


HETJOB = ("--cpus-per-task=1", ":", "--cpus-per-task=1", "--nodes=2", ":", "--cpus-per-task=1", "--gres=none")

"""Jobs without Slurm: `slurm/rl submit --local` runs the same scripts and roles as processes of this machine."""

import contextlib
import json
import os
import re
import subprocess

import pytest
from conftest import ENDLESS, ROOT, TRAIN
from tests.image.test_callbacks import OWN
from tests.jobs import PATIENCE, LocalJob
from tests.rows import check_rows, without_gap

INSIDE = "/opt/rl/lib/python3.11/site-packages/rlsif"


@contextlib.contextmanager
def starting(apptainer, folder):
    """Start jobs in a folder, one after the other; they are cancelled in the end, and have lost or doubled no row."""
    environment = {**os.environ, "PATH": f"{apptainer.parent}:{os.environ['PATH']}", "RL_WAIT": str(60 * PATIENCE)}
    environment["RL_IMAGE_GPU"] = str(ROOT / "rl.sif")
    # Lets one test code that is not in the image yet, as for jobs on a cluster.
    if os.environ.get("RL_BIND"):
        environment["RL_BIND"] = f"{ROOT}/entrypoints/rlsif:{INSIDE}"
    jobs = []

    def start(*arguments, **variables):
        given = (*arguments, "--results-dir", folder / "results")
        jobs.append(LocalJob(folder, given, environment | variables, number=len(jobs) + 1))
        return jobs[-1]

    try:
        yield start
    finally:
        for job in jobs:
            job.cleaned()
    check_rows(folder / "results")


@pytest.fixture
def local(apptainer, rl_sif, tmp_path):
    with starting(apptainer, tmp_path) as start:
        yield start


def test_a_hetjob_trains_with_the_roles_of_one_of_slurms(local, tmp_path):
    """Its callback on the head sets tasks, which reach the environments on the rollout nodes."""
    (tmp_path / "mine.py").write_text(OWN)
    own = ("--env", "mine.py:Levels", "--callbacks", "mine.py:Curriculum")
    job = local("hetjob", "--", *own, *TRAIN[2:])
    job.ends()
    levels = (job.run / "said.txt").read_text().splitlines()[:3]
    assert levels == [f"iteration {number} {number}.0" for number in (1, 2, 3)]
    assert "job local-1, logs and rendezvous in " in job.output
    assert re.search(r"^\+\d+\.\ds head head is up at 127\.0\.0\.1:\d+$", job.output, flags=re.M)
    assert "rollout rollout1 rollout2, learner learner joined" in job.output and "done: mean return" in job.output
    assert sorted(log.stem for log in job.files.glob("logs/*/*.log")) == ["head", "learner", "rollout", "rollout"]
    assert json.loads((job.files / "cluster.json").read_text())["state"] == "ended"
    assert job.summary["iterations"] == 3 and job.summary["resources"]["num_env_runners"] == 2


def test_a_wrong_option_of_train_ends_the_job_with_one_sentence(local):
    job = local("hetjob", "--", "--env", "Cartpole-v1")
    job.ends(code=2)
    assert "error: environment 'Cartpole-v1' is not known to Gymnasium; did you mean CartPole-v1" in job.output
    assert "failed with exit code 2" in job.output


def test_a_sweep_has_its_trials_on_the_nodes_of_a_job(local):
    """Three nodes start Ray; then three trials, each with TensorFlow."""
    search = ("sweep", "--env", "CartPole-v1", "--grid", "lr=1e-3,3e-4,1e-4", "--stop-iters", "2")
    job = local("multinode", "--cpus", "2", "--", *search, *TRAIN[-6:])
    job.ends(seconds=200)
    assert "trial   3 of 3" in job.output and "best settings: " in job.output
    assert (job.run / "best.yaml").read_text().startswith("# PPO on CartPole-v1: mean return ")
    assert len(list(job.run.glob("PPO_*/summary.json"))) == 3


# A game that mostly waits.
GAME = """
import time

from heap import Heap


class Waiting(Heap):
    def step(self, action):
        time.sleep(0.002)
        super().step(action)
"""


# The opponents that each checkpoint of a run has, each by a number of its weights, by the checkpoint's iteration.
POOLS = """
import json, sys
from pathlib import Path
from rlsif.learning.opponents import pool_of
print(json.dumps({
    int(checkpoint.name.rpartition("_")[2]): [
        float(sum(abs(w).sum() for w in policy.weights.values()))
        for each in pool_of(checkpoint).opponents for policy in each.policies.values()
    ]
    for checkpoint in Path(sys.argv[1]).glob("checkpoints/checkpoint_*")
}))
"""


def pools_of(apptainer, run):
    bind = ["--bind", f"{ROOT}/entrypoints/rlsif:{INSIDE}"] if os.environ.get("RL_BIND") else []
    asked = [apptainer, "exec", *bind, ROOT / "rl.sif", "python", "-c", POOLS, run]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return {int(iteration): pool for iteration, pool in json.loads(told.splitlines()[-1]).items()}


def test_a_warning_requeues_it_in_place_and_ctrl_c_cancels_it(apptainer, local, tmp_path):
    """Two starts of a job, of which the second has the opponents of the first."""
    (tmp_path / "heap.py").write_bytes((ROOT / "tests/data/heap.py").read_bytes())
    (tmp_path / "waiting.py").write_text(GAME)
    own = ("--opponent", "self", "--opponent-every", "1", "--checkpoint-every", "1")
    job = local("multinode", "--", "--env", "waiting.py:Waiting", *own, *TRAIN[2:], *ENDLESS)
    job.trains()
    listening = job.listens_at()
    job.warn()
    said = "the run was interrupted with a checkpoint: job local-1 is to be requeued (requeue 1) and resumes from"
    job.says(said)
    job.says("resumed from", seconds=120)
    first = int(re.search(r"resumed from .*checkpoint_(\d+)", job.output)[1])
    assert without_gap(job.rows)
    assert (job.files / "logs.0").is_dir()
    assert job.output.count("against earlier policies of its own, one more every 1 iteration") == 2
    assert all(0 <= row["win_rate"] <= 1 for row in job.rows if row["win_rate"] is not None)
    job.until(lambda: job.told("status").startswith("job local-1: training\n"), 60, "its first iteration is done")
    assert " env runner" in job.told("status")
    job.until(lambda: len(job.rows) > first + 1, 60, "the second start has a checkpoint of its own")
    job.interrupt()
    job.ends(code=130)
    # The first, which the second start had from a checkpoint, is in the pool of its last; it keeps the newest 20.
    pools = pools_of(apptainer, job.run)
    assert max(pools) > first and all(len(pool) == len(set(pool)) for pool in pools.values())
    assert all(len(pool) in (20, iteration + 1) for iteration, pool in pools.items())
    assert listening == {"127.0.0.1"}

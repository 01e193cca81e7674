"""Jobs without Slurm: `slurm/rl submit --local` runs the same scripts and roles as processes of this machine."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ENDLESS, ROOT, TRAIN

INSIDE = "/opt/rl/lib/python3.11/site-packages/rlsif"


class Local:
    """A job that runs here, in a folder of its own; `roles` are the names of its nodes by role."""

    def __init__(self, folder, apptainer, arguments):
        """Start it. RL_BIND lets one test code that is not in the image yet, as for jobs on a cluster."""
        self.folder, self.files = folder, folder / "runs/local-1"
        self._output = folder / "output"
        path = f"{apptainer.parent}:{os.environ['PATH']}"
        self.environment = environment = {**os.environ, "PATH": path, "RL_WAIT": "60"}
        if os.environ.get("RL_BIND"):
            environment["RL_BIND"] = f"{ROOT}/entrypoints/rlsif:{INSIDE}"
        environment["RL_IMAGE_GPU"] = str(ROOT / "rl.sif")
        command = [ROOT / "slurm/rl", "submit", "--local", *arguments, "--results-dir", folder / "results"]
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                list(map(str, command)),
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # Tests that run in the background are deaf to Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def output(self):
        return self._output.read_text()

    @property
    def run(self):
        return Path((self.files / "run").read_text())

    @property
    def rows(self):
        lines = (self.run / "result.json").read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    @property
    def summary(self):
        return json.loads((self.run / "summary.json").read_text())

    def until(self, condition, seconds, what):
        """Poll until a condition holds while the job runs."""
        deadline = time.monotonic() + seconds
        while not condition():
            over = self.process.poll() is not None or time.monotonic() > deadline
            assert condition() or not over, f"not within {seconds} s: {what}\n{self.output}"
            time.sleep(0.2)

    def trains(self):
        """Wait until it does."""
        there = lambda: (self.files / "run").is_file() and (self.run / "result.json").is_file()  # noqa: E731
        self.until(lambda: there() and len(self.rows) > 3, 120, "it trains")

    def ends(self, code=0, seconds=120):
        """Wait for its end; it must leave nothing."""
        assert self.process.wait(timeout=seconds) == code, self.output
        assert self.processes() == [], self.processes()

    def listens_at(self):
        """The addresses at which the job's processes listen."""
        mine = {f"pid={number}," for number, _ in self.found()}
        lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
        at = [line.split()[3].rpartition(":")[0] for line in lines if any(number in line for number in mine)]
        # As a socket of IPv6 has it.
        return {address.strip("[]").removeprefix("::ffff:") for address in at}

    def processes(self):
        """The processes of the job that are there, as their command lines."""
        return [command for _, command in self.found()]

    def found(self):
        """The processes that know of the job's folder, as its roles and their Ray do."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            except OSError:
                continue
            if str(self.files).encode() in told:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append((process.name, command[:200]))
        return found


@pytest.fixture
def local(apptainer, rl_sif, tmp_path):
    jobs = []

    def start(*arguments):
        jobs.append(Local(tmp_path, apptainer, arguments))
        return jobs[-1]

    yield start
    for job in jobs:
        job.process.send_signal(signal.SIGTERM)
        job.process.wait(timeout=60)


def test_a_hetjob_trains_with_the_roles_of_one_of_slurms(local):
    job = local("hetjob", "--", *TRAIN, "--stop-iters", "3")
    job.ends()
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
    search = ("sweep", "--env", "CartPole-v1", "--grid", "lr=1e-3,3e-4,1e-4", "--stop-iters", "2")
    job = local("multinode", "--cpus", "2", "--", *search, *TRAIN[-6:])
    job.ends(seconds=200)
    assert "trial   3 of 3" in job.output and "best settings: " in job.output
    assert (job.run / "best.yaml").read_text().startswith("# PPO on CartPole-v1: mean return ")
    assert len(list(job.run.glob("PPO_*/summary.json"))) == 3


def test_a_warning_requeues_it_in_place_and_ctrl_c_cancels_it(local):
    job = local("multinode", "--", *TRAIN, *ENDLESS)
    job.trains()
    listening = job.listens_at()
    job.process.send_signal(signal.SIGUSR1)
    said = "the run was interrupted with a checkpoint: job local-1 is requeued (requeue 1) and resumes from"
    job.until(lambda: said in job.output, 60, "it is requeued")
    job.until(lambda: "resumed from" in job.output, 120, "it resumes")
    iterations = [row["training_iteration"] for row in job.rows]
    assert iterations == list(range(1, len(iterations) + 1))
    assert (job.files / "logs.0").is_dir()
    status = [ROOT / "slurm/rl", "status", "local-1"]
    told = subprocess.run(status, cwd=job.folder, env=job.environment, capture_output=True, text=True, check=True)
    assert re.search(r"^job local-1: training$", told.stdout, flags=re.M) and " env runners alive" in told.stdout
    # As a terminal does it, to all in the foreground.
    os.killpg(job.process.pid, signal.SIGINT)
    job.ends(code=130)
    assert listening == {"127.0.0.1"}

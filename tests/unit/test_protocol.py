"""What the scripts of slurm/ do around the roles, without Slurm and without an image: the roles are a few lines."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# `rl` is this checkout's for what the scripts ask; the roles are `role`, which the test writes.
PYTHON, PACKAGE = (shlex.quote(str(path)) for path in (sys.executable, ROOT / "entrypoints"))
APPTAINER = f"""
[[ $1 != inspect ]] || exit 0
while [[ $1 != rl ]]; do shift; done
case $2 in
    head | rollout | learner) exec "$FAKES/role" "${{@:2}}" ;;
    *) PYTHONPATH={PACKAGE} exec {PYTHON} -c 'from rlsif.commands.rl import main; main()' "${{@:2}}" ;;
esac
"""
# A head that has a checkpoint a start, and members that leave when the job is over.
ROLE = """
role=$1 job=
while (($#)); do [[ $1 != --job ]] || job=$2; [[ $1 != --restart-count ]] || count=$2; shift; done
if [[ $role != head ]]; then
    until [[ -e $RL_OVER ]]; do sleep 0.05; done
    exit 0
fi
run=$FAKES/run
if [[ -e $FAKES/trains ]]; then
    mkdir -p "$run/checkpoints/checkpoint_$count"
    echo "$count" >"$run/checkpoints/checkpoint_$count/manifest.json"
    touch -d "@$count" "$run/checkpoints/checkpoint_$count/manifest.json"
    echo '{}' >"$run/result.json"
    printf %s "$run" >"$job/run"
fi
echo "start $count"
until [[ -e $job/stop || -e $FAKES/done || -e $RL_OVER ]]; do sleep 0.05; done
[[ ! -e $FAKES/done ]] || exit 3
exit 75
"""


class Job:
    """A job of `slurm/rl submit --local`."""

    def __init__(self, folder, arguments, variables):
        """Start it."""
        self.folder, self._output = folder, folder / "output"
        environment = {"PATH": f"{folder}:/usr/bin:/bin", "FAKES": str(folder), "RL_IMAGE": __file__, **variables}
        environment |= {"RL_IMAGE_GPU": __file__, "HOME": str(folder)}
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [ROOT / "slurm/rl", "submit", "--local", *arguments],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def output(self):
        return self._output.read_text()

    def says(self, text, seconds=60):
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert self.process.poll() is None and time.monotonic() < deadline, f"not {text!r}:\n{self.output}"
            time.sleep(0.05)

    def warn(self):
        self.process.send_signal(signal.SIGUSR1)

    def ends(self, code):
        assert self.process.wait(timeout=60) == code, self.output
        assert not [p for p in Path("/proc").glob("[0-9]*/environ") if str(self.folder) in _read(p)]


def _read(path):
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture
def start(tmp_path):
    for name, text in {"apptainer": APPTAINER, "role": ROLE}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}")
        (tmp_path / name).chmod(0o755)
    jobs = []

    def start(*arguments, **variables):
        jobs.append(Job(tmp_path, arguments, variables))
        return jobs[-1]

    yield start
    for job in jobs:
        job.process.send_signal(signal.SIGTERM)
        job.process.wait(timeout=60)


@pytest.mark.fault("a job meets its time limit", promise="it is requeued, and resumes its run")
@pytest.mark.parametrize("script", ["hetjob", "multinode"])
def test_a_warned_job_is_requeued_and_resumes(start, tmp_path, script):
    (tmp_path / "trains").touch()
    job = start(script, "--", "--env", "x")
    for number in range(2):
        job.says(f"start {number}")
        job.warn()
        job.says(f"is requeued (requeue {number + 1}) and resumes from its last checkpoint")
    job.says("start 2")
    assert sorted(path.name for path in (tmp_path / "runs/local-1").glob("logs*")) == ["logs", "logs.0", "logs.1"]
    (tmp_path / "done").touch()
    job.ends(code=3)
    assert job.output.splitlines()[-1].startswith("job local-1 failed with exit code 3; logs are in ")


@pytest.mark.fault("no start of a job gets to a checkpoint", promise="the third start is the last")
def test_a_job_without_a_checkpoint_is_started_three_times(start):
    job = start("node", "--", "--env", "x")
    for number in range(3):
        job.says(f"start {number}")
        job.warn()
    job.ends(code=1)
    assert re.search(
        r"^error: job local-1 was started 3 times and no first iteration has ended: ", job.output, flags=re.M
    )


@pytest.mark.fault("a job was requeued as often as its cap allows", promise="it ends, and says how to resume")
def test_the_cap_of_requeues_is_told(start, tmp_path):
    (tmp_path / "trains").touch()
    job = start("node", "--", "--env", "x", RL_MAX_REQUEUES="1")
    job.says("start 0")
    job.warn()
    job.says("is requeued (requeue 1 of at most 1)")
    job.says("start 1")
    job.warn()
    job.ends(code=1)
    said = "error: job local-1 was requeued 1 time, as often as RL_MAX_REQUEUES allows; resume by `--resume "
    assert job.output.splitlines()[-1].startswith(f"{said}{tmp_path}/run`")


@pytest.mark.fault("a job is stopped for good while it is warned of its end", promise="it is not requeued")
def test_a_job_that_is_stopped_for_good_is_not_requeued(start, tmp_path):
    (tmp_path / "trains").touch()
    job = start("hetjob", "--", "--env", "x")
    job.says("start 0")
    (tmp_path / "runs/local-1/stop").write_text("for good\n")
    job.ends(code=0)
    assert job.output.splitlines()[-1] == "job local-1 was stopped; its run can be resumed by --resume"


@pytest.mark.fault(
    "Ctrl-C is pressed in a job without Slurm",
    promise="the job is cancelled, and nothing of it is left",
)
def test_ctrl_c_cancels_a_job(start):
    job = start("hetjob", "--", "--env", "x")
    job.says("start 0")
    os.killpg(job.process.pid, signal.SIGINT)
    job.ends(code=130)

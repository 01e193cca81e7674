"""Jobs are requeued while that helps, and no longer."""

import os
import subprocess
from pathlib import Path

import pytest

from rlsif.cluster.job import ENDED_SUFFIX, LOG_SUFFIX, JobFolder
from rlsif.errors import InputError, RlsifError
from rlsif.slurm import requeue
from rlsif.slurm.describe import job_of

SLURM = Path(__file__).parents[2] / "slurm"
WHY = "the run was interrupted with a checkpoint"


class Starts:
    """A job whose starts are played one after the other."""

    def __init__(self, folder):
        self.folder, self.run, self.count = folder / "7", folder / "the run", -1
        self.folder.mkdir()

    def job(self, most=None, may=True):
        return requeue.Job("7", self.folder, self.count, "0:10:00", most, may)

    def begin(self, **named):
        self.count += 1
        requeue.begin(self.job(**named))

    def trains(self):
        self.run.mkdir(exist_ok=True)
        (self.folder / "run").write_text(str(self.run))
        (self.run / "result.json").write_text("{}\n")

    def checkpoint(self, number, below="checkpoints"):
        self.trains()
        folder = self.run / below / f"checkpoint_{number:06d}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        os.utime(folder / "manifest.json", (number, number))


@pytest.fixture
def starts(tmp_path):
    return Starts(tmp_path)


def test_a_job_with_progress_is_requeued_as_often_as_it_takes(starts):
    for number in range(1, 10):
        starts.begin()
        starts.checkpoint(number)
        said = f"{WHY}: job 7 is to be requeued (requeue {number}) and resumes from its last checkpoint"
        assert requeue.decide(starts.job(), WHY) == said


def test_a_sweep_makes_progress_by_its_trials(starts):
    for number in range(1, 6):
        starts.begin()
        starts.checkpoint(number, below=f"PPO_{number % 2}/checkpoints")
        assert f"(requeue {number})" in requeue.decide(starts.job(), WHY)


@pytest.mark.fault(
    "a job never gets to a checkpoint before its time limit",
    promise="it is started three times, and ends with a sentence that says what to change",
)
def test_three_starts_without_a_checkpoint_are_enough(starts):
    starts.begin()
    starts.checkpoint(1)
    for _ in range(3):
        requeue.decide(starts.job(), WHY)
        starts.begin()
    with pytest.raises(RlsifError) as told:
        requeue.decide(starts.job(), WHY)
    assert str(told.value) == (
        "job 7 was started 3 times without a new checkpoint; checkpoint more often with a lower --checkpoint-every, or"
        f" ask for a longer --time than 0:10:00; resume by `--resume {starts.run}` in a new one"
    )


@pytest.mark.fault(
    "the first iteration takes longer than the time limit",
    promise="the job says so by a sentence of its own",
)
def test_a_first_iteration_longer_than_the_time_limit_is_told(starts):
    for _ in range(3):
        starts.begin()
    with pytest.raises(
        RlsifError, match="no first iteration has ended: it takes longer than the time limit of 0:10:00"
    ):
        requeue.decide(starts.job(), WHY)
    # Where Slurm has requeued it all the same, as after the death of a node.
    with pytest.raises(RlsifError, match="job 7 was started 3 times and no first iteration has ended"):
        starts.begin()


def test_a_checkpoint_makes_up_for_the_starts_before_it(starts):
    starts.begin()
    starts.begin()
    starts.begin()
    starts.checkpoint(1)
    assert "(requeue 3)" in requeue.decide(starts.job(), WHY)


def test_requeues_are_capped(starts):
    starts.begin(most=1)
    starts.checkpoint(1)
    assert "(requeue 1 of at most 1)" in requeue.decide(starts.job(most=1), WHY)
    starts.begin(most=1)
    starts.checkpoint(2)
    with pytest.raises(RlsifError, match=r"requeued 1 time, as often as RL_MAX_REQUEUES allows; resume by `--resume /"):
        requeue.decide(starts.job(most=1), WHY)
    with pytest.raises(RlsifError, match="as often as RL_MAX_REQUEUES allows"):
        starts.begin(most=1)


@pytest.mark.fault("Slurm may not requeue a job", promise="the job says how to resume its run")
def test_where_slurm_would_not_requeue_the_user_resumes(starts):
    starts.begin()
    starts.checkpoint(1)
    with pytest.raises(RlsifError, match=f"{WHY}, but this job cannot be requeued; resume by `--resume "):
        requeue.decide(starts.job(may=False), WHY)


def test_what_slurm_says_of_requeues():
    said = "JobId=7 JobName=rl\n   Requeue=0 Restarts=2\n   RunTime=00:00:01 TimeLimit=00:10:00\n"
    variables = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "2", "RL_MAX_REQUEUES": "4"}
    assert job_of(said, variables, Path("/f")) == requeue.Job("7", Path("/f"), 2, "00:10:00", 4, False)
    assert job_of("", {"SLURM_JOB_ID": "7"}, Path("/f")).may
    with pytest.raises(InputError, match="RL_MAX_REQUEUES is 'x'; it must be a number"):
        job_of(said, {**variables, "RL_MAX_REQUEUES": "x"}, Path("/f"))


def programs(tmp_path, **texts):
    """A folder of programs that the test writes."""
    for name, text in texts.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return f"{tmp_path}:/usr/bin:/bin"


@pytest.mark.fault(
    "the disk of a job's log is full",
    promise="the exit code stays that of the run, so that the job is requeued",
)
def test_a_full_disk_of_the_log_leaves_the_exit_code_of_the_head(tmp_path):
    path = programs(tmp_path, apptainer="seq 100000; exit 75")
    (tmp_path / "logs/n1").mkdir(parents=True)
    (tmp_path / "logs/n1/head.log").symlink_to("/dev/full")
    variables = ("RL_RUNS", "RL_BIND", "RL_INTERFACE", "RL_DASHBOARD", "RL_LENT_BY")
    environment = {name: "" for name in variables} | {"PATH": path, "SLURMD_NODENAME": "n1", "SLURM_CPUS_ON_NODE": "1"}
    environment |= {"RL_LOGS": f"{tmp_path}/logs", "RL_JOB": str(tmp_path), "RL_OVER": f"{tmp_path}/over"}
    environment |= {"RL_RESTART_COUNT": "0", "RL_WAIT": "1", "RL_STARTED": "0", "RL_ROOT": str(SLURM.parent)}
    environment |= {"RL_LOG_SUFFIX": LOG_SUFFIX, "RL_ENDED_SUFFIX": ENDED_SUFFIX}
    with Path("/dev/full").open("w") as full:
        for output in (subprocess.PIPE, full):
            role = [SLURM / "role.sh", "head", "rl.sif"]
            done = subprocess.run(role, env=environment, stdout=output, stderr=subprocess.PIPE, check=False)
            assert done.returncode == 75, done.stderr
    assert JobFolder(tmp_path).has_ended("head", "n1", restart_count=0)
    assert not JobFolder(tmp_path).has_ended("head", "n1", restart_count=1)


def common(tmp_path, command, **texts):
    """What a command says that is typed where common.sh is sourced."""
    path = programs(tmp_path, **texts)
    script = f"set -euo pipefail; . '{SLURM}/common.sh'; {command}"
    known = {"PATH": path, "SLURM_JOB_ID": "7", "RL_ROOT": str(SLURM.parent), "RL_IMAGE": __file__}
    return subprocess.run(["bash", "-c", script], env=known, cwd=tmp_path, capture_output=True, text=True, check=False)


REQUEUE = 'RL_JOB=/f stop_file=/f/stop; job::requeue "it was late"'
# Refuses twice, and then answers.
AWAY = 'echo . >>calls; (($(wc -l <calls) > 2)) || { echo "Unable to contact slurm controller" >&2; exit 1; }; echo 123'


@pytest.mark.fault("slurmctld does not answer a requeue", promise="it is asked again until it answers")
def test_slurm_is_asked_until_it_answers(tmp_path):
    done = common(tmp_path, 'job::ask 30 scontrol show job 7; echo "answer $answer"', scontrol=AWAY)
    assert (done.returncode, done.stdout) == (0, "answer 123\n"), done.stderr


@pytest.mark.fault("the image cannot be started at the end of a job", promise="the job is requeued all the same")
def test_a_job_is_requeued_also_where_the_image_does_not_answer(tmp_path):
    done = common(tmp_path, REQUEUE, scontrol=AWAY, apptainer="cat >/dev/null; exit 255")
    assert (done.returncode, done.stdout) == (0, "it was late: job 7 is to be requeued\n"), done.stderr


@pytest.mark.fault(
    "slurmctld requeues a job, and its answer does not come", promise="the job's output says all the same what happens"
)
def test_what_happens_is_said_before_slurm_is_asked(tmp_path):
    ends = '[[ $1 != requeue ]] || kill -KILL "$PPID"; echo JobId=7'
    done = common(tmp_path, REQUEUE, scontrol=ends, apptainer="cat >/dev/null; exit 255")
    assert done.stdout == "it was late: job 7 is to be requeued\n", done.stderr


@pytest.mark.fault("a job may not be requeued any more", promise="it fails and says why")
def test_a_job_that_rl_refuses_to_requeue_fails_and_says_why(tmp_path):
    answers = "cat >/dev/null; echo may=0; echo \"message='three starts'\""
    done = common(tmp_path, REQUEUE, scontrol="echo JobId=7", apptainer=answers)
    assert (done.returncode, done.stderr) == (1, "error: three starts\n")


@pytest.mark.fault(
    "slurmctld is away when a job is warned of its end",
    promise="the checkpoint is written, and the job is requeued",
)
def test_the_warning_of_the_end_outlives_a_controller_that_is_away(tmp_path):
    head = "stop_file=stop; RL_OVER=over; RL_LOGS=logs; REQUEUE=75; job_end=0; ask_by=0; SECONDS=0"
    begin = "trap job::warned USR1; (kill -USR1 $$; sleep 1; exit 3) & job_steps[head]=$!; job::wait"
    done = common(tmp_path, f"{head}; {begin}", scontrol=AWAY, apptainer="cat >/dev/null; echo job_end=0 requeue_at=0")
    assert done.returncode == 3 and "Slurm warns of the end of the job; the run is interrupted after" in done.stdout
    assert (tmp_path / "stop").exists() and (tmp_path / "over").exists()


@pytest.mark.parametrize(
    "state, host, nodes, lost",
    [
        ("RUNNING", "n1", "n[1-3]", ""),
        ("RUNNING", "n1", "n[2-3]", "n1"),
        ("RUNNING", "n1", "n[10-13]", "n1"),
        ("COMPLETING", "n1", "n[2-3]", ""),
        ("RUNNING", "", "", ""),
    ],
)
def test_a_running_job_without_the_node_of_its_batch_script_is_known(state, host, nodes, lost):
    known = {"JobState": state, **({"BatchHost": host, "NodeList": nodes} if nodes else {})}
    assert requeue.lost_with_its_batch_script(known) == lost


# A role that fails where Slurm has taken the node of the batch script out of the job.
ABANDONED = """case "$*" in
    *" abandoned "*) cat >facts; echo "lost=n1 output=$PWD/out"; echo "may=$MAY message='n1 has failed'" ;;
    *) exit 1 ;;
esac"""


@pytest.mark.parametrize("may, calls, said", [(1, "requeue 7", "n1 has failed"), (0, "7", "error: n1 has failed")])
def test_a_node_whose_batch_script_is_lost_has_the_job_requeued_or_ends_it(tmp_path, may, calls, said):
    path = programs(
        tmp_path,
        apptainer=ABANDONED,
        scontrol='[[ $1 != requeue ]] && echo JobId=7 || { echo "$*" >calls; touch over; }',
        scancel='echo "$*" >calls; touch over',
    )
    (tmp_path / "role.sh").write_text(
        (SLURM / "role.sh").read_text().replace("SECONDS_BETWEEN_QUESTIONS=15", "SECONDS_BETWEEN_QUESTIONS=0")
    )
    variables = ("RL_RUNS", "RL_BIND", "RL_INTERFACE", "RL_DASHBOARD", "RL_LENT_BY")
    environment = {name: "" for name in variables} | {"PATH": path, "SLURMD_NODENAME": "n2", "SLURM_CPUS_ON_NODE": "1"}
    environment |= {"RL_LOGS": f"{tmp_path}/logs", "RL_JOB": str(tmp_path), "RL_OVER": f"{tmp_path}/over"}
    environment |= {"RL_RESTART_COUNT": "0", "RL_WAIT": "1", "SLURM_JOB_ID": "7", "MAY": str(may)}
    environment |= {"RL_ROOT": str(SLURM.parent), "RL_LOG_SUFFIX": LOG_SUFFIX, "RL_ENDED_SUFFIX": ENDED_SUFFIX}
    role = ["bash", tmp_path / "role.sh", "rollout", "rl.sif"]
    done = subprocess.run(role, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 1
    assert (tmp_path / "calls").read_text() == f"{calls}\n"
    assert (tmp_path / "out").read_text() == f"{said}\n"
    assert JobFolder(tmp_path).has_ended("rollout", "n2", restart_count=0)
    assert "JobId=7\n\n== environment\n" in (tmp_path / "facts").read_text()

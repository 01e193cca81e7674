"""Jobs that clusters interrupt."""

import itertools
import json
import math
import re
import time

import pytest
from cluster import CHECKOUT, PREEMPTION
from conftest import ENDLESS, HETJOB, STAYS, TRAIN, WAITS
from tests.rows import without_gap

ONE_ROLLOUT_NODE = ("--cpus-per-task=1", ":", "--cpus-per-task=1", "--nodes=1", ":", "--cpus-per-task=1", "--gres=none")
TWO_NODES_OF_THREE = (*ONE_ROLLOUT_NODE[:2], "--cpus-per-task=3", "--nodes=2", *ONE_ROLLOUT_NODE[4:])

LEARNER = "info/learner/default_policy"
UPDATES = f"{LEARNER}/num_grad_updates_lifetime"
KL_COEFFICIENT, RATE = (f"{LEARNER}/learner_stats/{name}" for name in ("cur_kl_coeff", "cur_lr"))


@pytest.mark.long
@pytest.mark.fault(
    "a job meets its time limit",
    promise="it resumes; optimizer and schedules continue where they were",
)
def test_a_job_that_meets_its_time_limit_resumes_as_if_it_had_not_been_interrupted(submit, slurm):
    """Slurm looks at time limits twice a minute; then the same number of iterations in a job without a limit."""
    asked = (*WAITS, "--seed", "1")
    # It warns after 40 s, or at its next look, twice a minute; a slow machine has three minutes for an iteration.
    limit = ("--time=4", "--signal=B:USR1@200")
    keep = ("--keep-checkpoints", "1000")
    job = submit("hetjob", *asked, *keep, *ENDLESS, sbatch=(*limit, *HETJOB))
    job.until(lambda: "(requeue 1) and resumes from its last checkpoint" in job.output, 120, "it is requeued")
    first, before = job.run, job.rows
    assert job.summary["state"] == "interrupted" and "failed with" not in job.output
    slurm("scontrol", "update", f"JobId={job.id}+0", "TimeLimit=60")
    number = len(before) // 10 * 10 + 30
    job.until(lambda: job.iterations() >= number, 200, "it resumes")
    assert job.run == first and "resumed from" in job.output and not (first / "summary.json").exists()
    rows = job.rows
    slurm("scancel", job.id)
    assert rows[: len(before)] == before and without_gap(rows)
    whole = submit("hetjob", *asked, *keep, "--stop-iters", number, sbatch=HETJOB)
    whole.completes(seconds=200)
    assert list(rows[-1]) == list(whole.rows[-1])
    # New environments end other episodes; an iteration takes the steps that its batch wants, and a round of all 16.
    steps = [[row["num_env_steps_sampled_this_iter"] for row in one] for one in (rows, whole.rows)]
    assert min(steps[0]) == min(steps[1]) and max(steps[0]) <= max(steps[1]) + 16
    # The learner continues: from the checkpoint where it was interrupted to one ten iterations on or more it moves no
    # further than between others, and Adam has counted every update.
    saved = learners(slurm, whole, range(10, number + 1, 10))
    usual = [distance(*pair) for pair in itertools.pairwise(saved)]
    seam = learners(slurm, job, (len(before), len(before) // 10 * 10 + 20))
    assert distance(*seam) < 2 * max(usual)
    updates = [rows[learner["iteration"] - 1][UPDATES] for learner in seam]
    assert seam[1]["updates"] - seam[0]["updates"] == updates[1] - updates[0] > 0
    for column in (KL_COEFFICIENT, RATE):
        values, usual = ([row[column] for row in one] for one in (rows, whole.rows))
        assert abs(values[len(before)] - values[len(before) - 1]) <= max(
            abs(b - a) for a, b in itertools.pairwise(usual)
        )


# The weights of checkpoints, and how many updates Adam has counted, by the power of its second rate.
LEARNERS = """
import json, math, pickle, sys
import numpy, ray.rllib, tensorflow
for folder in sys.argv[1:]:
    state = pickle.load(open(f"{folder}/policies/default_policy/policy_state.pkl", "rb"))
    weights = numpy.concatenate([numpy.ravel(w) for w in state["weights"].values()])
    power = next(float(v) for name, v in state["_optimizer_variables"].items() if "beta2_power" in name)
    updates = round(math.log(power) / math.log(0.999)) - 1
    print(json.dumps({"iteration": int(folder[-6:]), "weights": weights.tolist(), "updates": updates}))
"""


def learners(slurm, job, iterations):
    """What the checkpoints of a job's run after these iterations hold of its learner."""
    inside = (job.files / "run").read_text()
    folders = [f"{inside}/checkpoints/checkpoint_{number:06d}" for number in iterations]
    command = ("apptainer", "exec", f"{CHECKOUT}/rl.sif", "python", "-c", LEARNERS, *folders)
    return [json.loads(line) for line in slurm(*command, user="alice").stdout.splitlines() if line.startswith("{")]


def distance(one, other):
    """How far apart the weights are."""
    return math.dist(one["weights"], other["weights"])


@pytest.mark.long
@pytest.mark.fault("an env runner dies on a healthy node", promise="it comes back, and training continues meanwhile")
@pytest.mark.fault("a node's Ray dies", promise="the node joins again, and training continues meanwhile")
@pytest.mark.fault(
    "no env runner comes back", promise="the job ends after a minute with one error, and without an empty iteration"
)
def test_what_dies_on_a_rollout_node_comes_back_and_a_job_without_any_env_runner_ends(submit, slurm):
    """An env runner, a raylet, then all: a job waits for a minute until one comes back."""
    job = submit("hetjob", *STAYS, sbatch=HETJOB)
    job.trains()
    first, second = job.nodes("rollout")
    for victim, what in ((first, "ray::ArrayEnvRunner"), (second, "raylet/raylet")):
        at = job.iterations()
        slurm("pkill", "-9", "-f", what, node=victim)
        job.until(lambda at=at: any(row["num_healthy_workers"] < 2 for row in job.rows[at:]), 60, "a runner is missing")
        job.until(lambda: job.rows[-1]["num_healthy_workers"] == 2, 90, "the runner is back")
    assert job.output.count("1 env runner alive, 2 before") == 2
    assert job.output.count("2 env runners alive, 1 before") == 2
    for node in (first, second):
        slurm("pkill", "-9", "-f", "bin/rl rollout", node=node)
    job.wait("FAILED", seconds=150)
    assert "error: nothing was sampled for 60 s: 0 env runners alive" in job.output
    assert without_gap(job.rows) and all(row["num_env_steps_sampled_this_iter"] > 0 for row in job.rows)


@pytest.mark.fault("the learner's process dies", promise="the job ends, and says so")
def test_a_learner_that_dies_ends_the_job_and_says_so(submit, slurm):
    """A hetjob starts: Ray on four nodes, which share the cores of this machine."""
    job = submit("hetjob", *STAYS, sbatch=HETJOB)
    job.trains()
    [learner] = job.nodes("learner")
    before = job.rows
    slurm("pkill", "-9", "-f", "ray::Learner", node=learner)
    job.wait("FAILED", seconds=60)
    assert "error: the learner's process ended" in job.output
    assert job.rows[: len(before)] == before and without_gap(job.rows)


@pytest.mark.fault(
    "a rollout node of a hetjob is powered off", promise="the job is requeued and resumes from its last checkpoint"
)
def test_a_node_that_is_powered_off_has_the_job_resume_from_its_checkpoint(submit, slurm):
    """Two starts of a hetjob."""
    job = submit("hetjob", *STAYS, "--checkpoint-every", "20", sbatch=HETJOB)
    job.until(lambda: job.iterations() > 40, 90, "it trains")
    [victim, *_] = job.nodes("rollout")
    slurm.nodes[victim].power_off()
    slurm.miss(victim)
    job.until(lambda: job.state in ("PENDING", "REQUEUED"), 60, "it is requeued")
    before = job.rows
    slurm.nodes[victim].boot()
    job.until(lambda: "resumed from" in job.output, 120, "it resumes")
    kept = int(re.search(r"resumed from \S*checkpoint_(\d+)", job.output)[1])
    job.until(lambda: job.iterations() > len(before) + 10, 120, "it is further than before")
    rows = job.rows
    slurm("scancel", job.id)
    assert kept >= 40 and rows[:kept] == before[:kept] and without_gap(rows)


@pytest.mark.skipif(not PREEMPTION, reason="needs a Slurm that gives notice of a preemption; 22.05 gives none")
@pytest.mark.fault("a job is preempted, with notice", promise="it resumes where it was")
def test_a_job_that_is_preempted_resumes_where_it_was(submit, slurm):
    """Two starts of a job, and another job between them."""
    nodes = ("--nodelist=cpu1,cpu2", "--nodes=2")
    job = submit("multinode", *STAYS, sbatch=(*nodes, "--cpus-per-task=2"))
    job.trains()
    urgent = ("--partition=urgent", "--cpus-per-task=8", "--output=/dev/null")
    other = slurm("sbatch", "--parsable", *nodes, *urgent, "--wrap=sleep 1000", user="bob", node="ctl").stdout.strip()
    try:
        job.until(lambda: "(requeue 1) and resumes from its last checkpoint" in job.output, 90, "it is requeued")
        before = job.rows
        slurm.wait_until(lambda: "JobState=RUNNING" in slurm("scontrol", "show", "job", other).stdout, 60, "it starts")
    finally:
        slurm("scancel", other)
    job.until(lambda: job.iterations() > len(before) + 10, 90, "it resumes")
    assert job.rows[: len(before)] == before and without_gap(job.rows)


SLOW = """
import time
import gymnasium


class Slow(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)
    max_episode_steps = 5

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        time.sleep(5)
        return 0, 1.0, False, False, {}
"""


@pytest.mark.fault(
    "an iteration takes longer than the time limit leaves", promise="the job is requeued in time without a checkpoint"
)
@pytest.mark.fault("no first iteration ends within a time limit", promise="the third start is the last, and says why")
def test_a_job_whose_iteration_takes_too_long_is_requeued_in_time_and_started_three_times(submit, slurm):
    """Three starts of a job."""
    (slurm.folder / "home/alice/slow.py").write_text(SLOW)
    asked = ("--env", "../slow.py:Slow", *TRAIN[2:])
    job = submit("multinode", *asked, sbatch=("--nodes=1", "--cpus-per-task=2", "--time=1"))
    for start in (1, 2, 3):
        job.until(lambda start=start: job.output.count("is up at") == start, 90, f"start {start}")
        slurm("scancel", "--batch", "--signal=USR1", job.id)
    job.wait("FAILED", seconds=90)
    assert job.output.count("takes too long: job") == 2
    assert re.search(r"^Slurm warns of the end of the job at \d{4}-\d\d-\d\dT\d\d:", job.output, flags=re.M)
    said = f"error: job {job.id} was started 3 times and no first iteration has ended: it takes longer than the time"
    # Slurm has its own words after it.
    assert any(line.startswith(said) for line in job.output.splitlines())


@pytest.mark.fault("slurmctld does not answer when a job is to be requeued", promise="the job asks until it does")
@pytest.mark.fault("a job was requeued as often as RL_MAX_REQUEUES allows", promise="it ends, and says how to resume")
def test_a_job_is_requeued_while_slurmctld_is_away_and_no_more_often_than_allowed(submit, slurm):
    """Two starts of a job, and a minute without slurmctld."""
    sizes = ("--nodes=1", "--cpus-per-task=2")
    job = submit("multinode", *STAYS, sbatch=sizes, RL_MAX_REQUEUES="1")
    job.trains()
    slurm("scancel", "--batch", "--signal=USR1", job.id)
    controller = ("pkill", "-STOP", "-x", "slurmctld"), ("pkill", "-CONT", "-x", "slurmctld")
    slurm(*controller[0])
    stopped = time.monotonic()
    try:
        interrupted = lambda: "interrupted by the batch script" in job.output  # noqa: E731
        slurm.wait_until(interrupted, 60, "the run is interrupted")
        # Its first question gets no answer within ten seconds.
        slurm.wait_until(
            lambda: slurm("pgrep", "-x", "scontrol", node=where(job), check=False).returncode == 0, 30, "it asks"
        )
        slurm.wait_until(lambda: time.monotonic() - stopped > 60, 90, "a minute has passed")
    finally:
        slurm(*controller[1])
    said = "(requeue 1 of at most 1) and resumes from its last checkpoint"
    job.until(lambda: said in job.output, 120, "it is requeued")
    before = job.rows
    job.until(lambda: "resumed from" in job.output, 120, "it resumes")
    job.until(lambda: job.iterations() > len(before), 60, "it trains")
    slurm("scancel", "--batch", "--signal=USR1", job.id)
    job.wait("FAILED", seconds=60)
    said = f"error: job {job.id} was requeued 1 time, as often as RL_MAX_REQUEUES allows; resume by `--resume "
    # Slurm has its own words after it.
    assert any(line.startswith(said) for line in job.output.splitlines())
    assert job.summary["state"] == "interrupted"
    assert job.rows[: len(before)] == before and without_gap(job.rows)


@pytest.mark.fault(
    "a job that may not be requeued is interrupted", promise="it ends with a checkpoint, and says how to resume"
)
def test_a_job_that_may_not_be_requeued_says_how_to_resume(submit, slurm):
    """Slurm looks for what it has to warn of twice a minute."""
    sizes = ("--nodes=1", "--cpus-per-task=2", "--no-requeue")
    job = submit("multinode", *STAYS, sbatch=sizes)
    job.trains()
    slurm("scancel", "--batch", "--signal=USR1", job.id)
    job.wait("FAILED", seconds=60)
    run = (job.files / "run").read_text()
    why = "the run was interrupted with a checkpoint, but this job cannot be requeued"
    assert job.output.splitlines()[-1] == f"error: {why}; resume by `--resume {run}` in a new one"
    assert job.summary["state"] == "interrupted" and job.summary["checkpoint"]


def where(job):
    """The node of a job that has one."""
    [node] = job.nodes("head")
    return node


@pytest.mark.long
@pytest.mark.fault("a node of multinode.sh is powered off", promise="training continues with the others")
@pytest.mark.fault(
    "the first node of multinode.sh is powered off", promise="the others have the job requeued, and it resumes"
)
def test_a_job_of_cpu_nodes_continues_without_one_of_them_and_is_requeued_without_the_first(submit, slurm):
    """Two nodes die, one after the other; then a second start of the job."""
    sizes = ("--nodelist=head,cpu1,cpu2", "--nodes=3", "--cpus-per-task=2")
    job = submit("multinode", *STAYS, "--checkpoint-every", "20", sbatch=sizes)
    job.trains()
    victim, [first] = max(job.nodes("rollout")), job.nodes("head")
    slurm.nodes[victim].power_off()
    job.until(lambda: job.rows[-1]["num_healthy_workers"] == 3, 90, "its env runners are missed")
    slurm.miss(victim)
    job.until(lambda: f"Node failure on {victim}" in job.output, 30, "its step hears of it")
    at = job.iterations()
    job.until(lambda: job.iterations() > at + 20, 60, "training continues")
    assert re.search(r"^3 env runners alive, [45] before$", job.output, flags=re.M)
    assert job.state == "RUNNING" and without_gap(job.rows)
    slurm.nodes[first].power_off()
    slurm.miss(first)
    # It would notice within some minutes.
    [other] = {*job.nodes("rollout")} - {victim}
    slurm("pkill", "-9", "-f", "raylet/raylet", node=other)
    before = job.rows
    # Slurm lets the job continue without its batch script.
    assert job.state == "RUNNING"
    job.until(lambda: job.state == "PENDING", 120, "it is requeued")
    slurm.boot_again()
    why = f"node {first}, the first one, has failed"
    said = f"{why}: job {job.id} is to be requeued (requeue 1) and resumes from its last"
    job.until(lambda: said in job.output, 30, "the job's output says so")
    job.until(lambda: job.iterations() > len(before) + 10, 120, "it resumes")
    assert without_gap(job.rows)


@pytest.mark.fault("the head's process dies", promise="every node of the job stops within half a minute")
def test_when_the_head_dies_every_node_stops(submit, slurm):
    """A hetjob starts: Ray on four nodes, which share the cores of this machine.

    The nodes have half a minute to stop.
    """
    job = submit("hetjob", *STAYS, sbatch=HETJOB)
    job.trains()
    [head] = job.nodes("head")
    slurm("pkill", "-9", "-f", "bin/rl head", node=head)
    job.wait("FAILED", seconds=30)
    slurm.wait_until(lambda: slurm.idle() >= set(slurm.names), 30, "all nodes are idle again")
    assert len(job.rows) > 3 and without_gap(job.rows)


def test_rollout_nodes_for_a_job_that_is_none_are_told(submit):
    job = submit("rollout", "99999", sbatch=("--cpus-per-task=1",))
    job.wait("FAILED")
    assert "error: Slurm does not know job 99999" in job.output


def test_rollout_nodes_for_a_job_that_waits_are_told(submit):
    waits = submit("multinode", *TRAIN, sbatch=("--begin=now+1hour",))
    job = submit("rollout", waits.id, sbatch=("--cpus-per-task=1",))
    job.wait("FAILED")
    assert f"error: job {waits.id} is PENDING; nodes can be lent to a job that is RUNNING" in job.output


FRAGILE = """
import os
import subprocess
import time
import gymnasium


class Fragile(gymnasium.Env):
    \"\"\"One whose simulator is a process of its own, which Slurm ends with the node's others.\"\"\"

    observation_space = action_space = gymnasium.spaces.Discrete(2)
    max_episode_steps = 5

    def __init__(self):
        self.simulator = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=os.setsid)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        self.simulator.stdin.write(b"1\\n")
        self.simulator.stdin.flush()
        self.simulator.stdout.readline()
        time.sleep(0.002)
        return 0, 1.0, False, False, {}

    def close(self):
        self.simulator.kill()
"""


@pytest.mark.fault("rollout nodes that were lent to a job leave it", promise="training continues with the others")
@pytest.mark.fault(
    "an environment's simulator ends a moment before its node", promise="that is no failure of the environment"
)
def test_rollout_nodes_join_and_leave_a_job_that_runs_also_where_environments_fail_meanwhile(submit, slurm):
    """Three jobs, two of them beside the first."""
    (slurm.folder / "home/alice/fragile.py").write_text(FRAGILE)
    asked = ("--env", "../fragile.py:Fragile", *TRAIN[2:], *ENDLESS)
    job = submit("hetjob", *asked, sbatch=ONE_ROLLOUT_NODE)
    job.trains()
    log = job.run / "train.log"
    for simulator_ends_first in (False, True):
        more = submit("rollout", job.id, sbatch=("--cpus-per-task=2",))
        job.until(lambda: job.rows[-1]["num_healthy_workers"] == 3, 90, "its env runners joined")
        if simulator_ends_first:
            [node] = slurm("squeue", "-h", "-j", more.id, "-o", "%N").stdout.split()
            before = log.read_text().count("BrokenPipeError")
            slurm("pkill", "-x", "cat", node=node)
            job.until(lambda: log.read_text().count("BrokenPipeError") > before, 15, "it fails")  # noqa: B023
        slurm("scancel", more.id, user="alice")
        job.until(lambda: job.rows[-1]["num_healthy_workers"] == 1, 90, "they are gone")
        at = job.iterations()
        job.until(lambda at=at: job.iterations() > at + 3, 60, "training continues")
    assert "an env runner failed while its node left" in log.read_text()
    assert "3 env runners alive" in job.output
    assert without_gap(job.rows)


def test_an_env_runner_of_several_processes_has_its_cores_on_one_node_also_on_nodes_that_join(submit, slurm):
    (slurm.folder / "home/alice/fragile.py").write_text(FRAGILE)
    asked = ("--env", "../fragile.py:Fragile", *TRAIN[2:], *ENDLESS, "--env-processes", "2")
    # Of the three cores one is left over.
    job = submit("hetjob", *asked, sbatch=TWO_NODES_OF_THREE)
    job.trains()
    assert "2 env runners, 8 environments each, stepped in 2 processes of their own on 2 cores" in job.output
    submit("rollout", job.id, sbatch=("--cpus-per-task=2",))
    job.until(lambda: job.rows[-1]["num_healthy_workers"] == 3, 90, "its env runner joined")

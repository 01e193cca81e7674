"""Jobs that clusters interrupt."""

import itertools

from conftest import HETJOB, TRAIN

ONE_ROLLOUT_NODE = ("--cpus-per-task=1", ":", "--cpus-per-task=1", "--nodes=1", ":", "--cpus-per-task=1", "--gres=none")

# Iterations that take longer than what a test does to the job in the meantime.
LONG = "600"
STATISTICS = "info/learner/default_policy/learner_stats"
ENTROPY, KL_COEFFICIENT, RATE = (f"{STATISTICS}/{name}" for name in ("entropy", "cur_kl_coeff", "cur_lr"))


def without_gap(rows):
    iterations = [row["training_iteration"] for row in rows]
    steps = [row["num_env_steps_sampled_lifetime"] for row in rows]
    return iterations == list(range(1, len(rows) + 1)) and steps == sorted(set(steps))


def test_a_job_that_meets_its_time_limit_goes_on_as_if_it_had_not_been_interrupted(submit):
    asked = (*TRAIN, "--seed", "1", "--stop-iters", "1500")
    # Slurm looks at time limits twice a minute, and takes no shorter ones.
    limit = ("--time=2", "--signal=B:USR1@80")
    job = submit("hetjob", *asked, sbatch=(*limit, *HETJOB))
    job.until(lambda: "is queued again and goes on from its checkpoint" in job.output, 120, "it makes way")
    first, before = job.run, job.rows
    assert len(before) < 1500 and job.summary["state"] == "interrupted"
    whole = submit("hetjob", *asked, sbatch=HETJOB)
    for ended in (job, whole):
        ended.completes(seconds=300)
    assert job.run == first and "resumed from" in job.output
    assert job.rows[: len(before)] == before and without_gap(job.rows)
    assert len(job.rows) == len(whole.rows) and list(job.rows[-1]) == list(whole.rows[-1])
    steps = [one.rows[-1]["num_env_steps_sampled_lifetime"] for one in (job, whole)]
    assert abs(steps[0] - steps[1]) < 0.02 * steps[1]
    # What the learner had learned and how it adapts is as it was: no column jumps more than from any row to the next.
    for column in (ENTROPY, KL_COEFFICIENT, RATE):
        values, usual = ([row[column] for row in one.rows] for one in (job, whole))
        print(column, jumps(values)[len(before) - 1], max(jumps(usual)))
        assert jumps(values)[len(before) - 1] <= max(jumps(usual)), column


def jumps(values):
    """How far each value is from the one before it."""
    return [abs(after - before) for before, after in itertools.pairwise(values)]


def test_a_finished_job_is_not_run_again(submit, slurm):
    job = submit("node", *TRAIN, "--stop-iters", "2", sbatch=("--cpus-per-task=2",))
    job.wait("COMPLETED")
    slurm("scontrol", "requeue", job.id)
    job.until(lambda: "the run of this job is finished" in job.output, 60, "it says so")
    job.wait("COMPLETED")
    assert len(job.rows) == 2


def test_a_raylet_that_dies_comes_back_and_training_goes_on(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=HETJOB)
    job.trains()
    [victim, *_] = job.nodes("rollout")
    slurm("pkill", "-9", "-f", "raylet/raylet", node=victim)
    at = job.iterations()
    job.until(lambda: any(row["num_healthy_workers"] < 2 for row in job.rows[at:]), 60, "a runner is missing")
    job.until(lambda: job.rows[-1]["num_healthy_workers"] == 2, 90, "the runner is back")
    assert without_gap(job.rows)


def test_a_learner_that_dies_ends_the_job_and_says_so(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=HETJOB)
    job.trains()
    [learner] = job.nodes("learner")
    slurm("pkill", "-9", "-f", "ray::AlgorithmActor", node=learner)
    job.wait("FAILED", seconds=60)
    assert "error: the learner's process ended" in job.output


def test_a_node_that_is_powered_off_has_the_job_go_on_from_its_checkpoint(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", LONG, "--checkpoint-every", "20", sbatch=HETJOB)
    job.until(lambda: job.iterations() > 40, 90, "it trains")
    [victim, *_] = job.nodes("rollout")
    slurm.nodes[victim].power_off()
    job.until(lambda: job.state in ("PENDING", "REQUEUED"), 60, "it is queued again")
    slurm.nodes[victim].boot()
    job.completes()
    assert "resumed from" in job.output
    assert len(job.rows) == int(LONG) and without_gap(job.rows)


def test_a_job_that_is_preempted_goes_on_from_its_checkpoint(submit, slurm):
    sizes = ("--nodes=2", "--cpus-per-task=2")
    job = submit("multinode", *TRAIN, "--stop-iters", LONG, "--checkpoint-every", "20", sbatch=sizes)
    job.until(lambda: job.iterations() > 40, 90, "it trains")
    slurm("scontrol", "requeue", job.id)
    job.until(lambda: job.state in ("PENDING", "REQUEUED", "COMPLETING"), 60, "it is queued again")
    job.completes()
    assert "resumed from" in job.output
    assert len(job.rows) == int(LONG) and without_gap(job.rows)


def test_an_env_runner_that_dies_comes_back_and_training_goes_on(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=HETJOB)
    job.trains()
    [victim, *_] = job.nodes("rollout")
    slurm("pkill", "-9", "-f", "ray::ArrayEnvRunner", node=victim)
    job.until(lambda: "1 env runners are alive, 2 were" in job.output, 60, "a runner is missing")
    job.until(lambda: job.rows[-1]["num_healthy_workers"] == 2, 90, "the runner is back")
    assert "2 env runners are alive, 1 were" in job.output
    assert without_gap(job.rows)


def test_without_any_env_runner_a_job_ends_with_one_error_and_no_empty_iteration(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=HETJOB)
    job.trains()
    for log in job.files.glob("logs/*/rollout.log"):
        slurm("pkill", "-9", "-f", "bin/rl rollout", node=log.parent.name)
    job.wait("FAILED", seconds=150)
    assert "error: nothing was sampled for 60 s: 0 env runners are alive" in job.output
    assert all(row["num_env_steps_sampled_this_iter"] > 0 for row in job.rows)


def test_when_the_head_dies_every_node_stops(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=HETJOB)
    job.trains()
    [head] = job.nodes("head")
    slurm("pkill", "-9", "-f", "bin/rl head", node=head)
    job.wait("FAILED", seconds=30)
    slurm.wait_until(lambda: slurm.idle() >= set(slurm.names), 30, "all nodes are idle again")


def test_rollout_nodes_join_and_leave_a_job_that_runs(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=ONE_ROLLOUT_NODE)
    job.trains()
    more = submit("rollout", job.id, sbatch=("--cpus-per-task=2",))
    job.until(lambda: job.rows[-1]["num_healthy_workers"] == 3, 90, "its env runners joined")
    slurm("scancel", more.id, user="alice")
    job.until(lambda: job.rows[-1]["num_healthy_workers"] == 1, 90, "they are gone")
    at = job.iterations()
    job.until(lambda: job.iterations() > at + 3, 60, "training goes on")
    assert "3 env runners are alive" in job.output
    assert without_gap(job.rows)


def test_rollout_nodes_for_a_job_that_is_none_are_told(submit):
    job = submit("rollout", "99999", sbatch=("--cpus-per-task=1",))
    job.wait("FAILED")
    assert "error: Slurm does not know job 99999" in job.output

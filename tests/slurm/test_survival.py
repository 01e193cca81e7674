"""Jobs that clusters interrupt."""

from conftest import HETJOB, TRAIN


def without_gap(rows):
    iterations = [row["training_iteration"] for row in rows]
    steps = [row["num_env_steps_sampled_lifetime"] for row in rows]
    return iterations == list(range(1, len(rows) + 1)) and steps == sorted(set(steps))


def test_a_job_that_is_warned_is_queued_again_and_goes_on(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "60", sbatch=HETJOB)
    job.until(lambda: job.iterations() > 3, 90, "it trains")
    first = job.run
    slurm("scancel", "--batch", "--signal=USR1", job.id, user="alice")
    job.until(lambda: "is queued again and goes on from its checkpoint" in job.output, 60, "it makes way")
    done = job.iterations()
    assert done < 60 and job.summary["state"] == "interrupted"
    job.wait("COMPLETED", "FAILED")
    assert job.state == "COMPLETED", job.told()
    assert job.run == first and "resumed from" in job.output
    assert len(job.rows) == 60 and without_gap(job.rows)


def test_a_finished_job_is_not_run_again(submit, slurm):
    job = submit("node", *TRAIN, "--stop-iters", "2", sbatch=("--cpus-per-task=2",))
    job.wait("COMPLETED")
    slurm("scontrol", "requeue", job.id)
    job.until(lambda: "the run of this job is finished" in job.output, 60, "it says so")
    job.wait("COMPLETED")
    assert len(job.rows) == 2


def test_a_raylet_that_dies_comes_back_and_training_goes_on(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=HETJOB)
    job.until(lambda: job.iterations() > 3, 90, "it trains")
    [victim, *_] = [p.parent.name for p in job.files.glob("logs/*/rollout.log")]
    slurm("pkill", "-9", "-f", "raylet/raylet", node=victim)
    at = job.iterations()
    job.until(lambda: any(row["num_healthy_workers"] < 2 for row in job.rows[at:]), 60, "a runner is missing")
    job.until(lambda: job.rows[-1]["num_healthy_workers"] == 2, 90, "the runner is back")
    assert without_gap(job.rows)


def test_a_learner_that_dies_ends_the_job_and_says_so(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=HETJOB)
    job.until(lambda: job.iterations() > 3, 90, "it trains")
    [learner] = [p.parent.name for p in job.files.glob("logs/*/learner.log")]
    slurm("pkill", "-9", "-f", "ray::AlgorithmActor", node=learner)
    job.wait("FAILED", seconds=60)
    assert "error: the learner's process ended" in job.output


def test_a_node_that_is_powered_off_has_the_job_go_on_from_its_checkpoint(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "60", "--checkpoint-every", "2", sbatch=HETJOB)
    job.until(lambda: job.iterations() > 5, 90, "it trains")
    [victim, *_] = [p.parent.name for p in job.files.glob("logs/*/rollout.log")]
    slurm.nodes[victim].power_off()
    job.until(lambda: job.state in ("PENDING", "REQUEUED"), 60, "it is queued again")
    slurm.nodes[victim].boot()
    job.wait("COMPLETED", "FAILED", seconds=180)
    assert job.state == "COMPLETED", job.told()
    assert "resumed from" in job.output
    assert len(job.rows) == 60 and without_gap(job.rows)

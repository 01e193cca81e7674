"""Jobs as users submit them."""

import json
import re
import subprocess

import pytest
from cluster import CHECKOUT
from conftest import HETJOB, TRAIN


def test_a_hetjob_trains_on_the_nodes_of_its_groups_and_leaves_nothing(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "3", sbatch=HETJOB)
    job.wait("COMPLETED", "FAILED")
    assert job.state == "COMPLETED", job.told()
    assert job.summary["iterations"] == 3 and job.summary["state"] == "finished"
    assert re.search(r"^\+\d+\.\ds head \w+ is up at 10\.213\.7\.\d+:\d+$", job.output, flags=re.M)
    assert re.search(r"^\+\d+\.\ds rollout \w+ \w+, learner \w+ joined$", job.output, flags=re.M)
    assert "done: mean return" in job.output
    roles = sorted(p.stem for p in job.files.glob("logs/*/*.log"))
    assert roles == ["head", "learner", "rollout", "rollout"]
    assert json.loads((job.files / "cluster.json").read_text())["state"] == "ended"


def test_env_runners_sit_on_rollout_nodes_and_the_learner_on_its_own(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "1000", sbatch=HETJOB)
    job.until(lambda: job.iterations() > 1, 90, "it trains")
    where = {}
    for log in job.files.glob("logs/*/*.log"):
        processes = " ".join(slurm.nodes[log.parent.name].processes())
        where.setdefault(log.stem, set()).update(re.findall(r"ray::(ArrayEnvRunner|AlgorithmActor)", processes))
    assert where == {"head": set(), "rollout": {"ArrayEnvRunner"}, "learner": {"AlgorithmActor"}}


@pytest.mark.parametrize(
    "script, sbatch, runners",
    [("multinode", ("--nodes=2", "--cpus-per-task=2"), 3), ("node", ("--cpus-per-task=2",), 1)],
)
def test_cpu_jobs_use_every_core(submit, script, sbatch, runners):
    job = submit(script, *TRAIN, "--stop-iters", "2", sbatch=sbatch)
    job.wait("COMPLETED", "FAILED")
    assert job.state == "COMPLETED", job.told()
    assert job.summary["resources"]["num_env_runners"] == runners


def test_a_missing_image_is_told_before_anything_starts(submit):
    job = submit("hetjob", *TRAIN, sbatch=HETJOB, RL_IMAGE_GPU="/nothing.sif")
    job.wait("FAILED")
    assert "error: image /nothing.sif is not there or cannot be read" in job.output
    assert not job.files.exists()


def test_images_that_disagree_are_told_before_anything_starts(submit, slurm, apptainer, rl_sif):
    other = slurm.folder / "home/other.sif"
    recipe = slurm.folder / "other.def"
    recipe.write_text("Bootstrap: scratch\n\n%labels\n    rlsif.version.python 3.9.9\n")
    subprocess.run([apptainer, "build", "--force", "--fakeroot", other, recipe], check=True, capture_output=True)
    job = submit("hetjob", *TRAIN, sbatch=HETJOB, RL_IMAGE_GPU="/home/other.sif")
    job.wait("FAILED")
    assert re.search(r"error: .*rl\.sif has version\.python 3\.11\.\d+ and /home/other\.sif has 3\.9\.9", job.output)


def test_a_wrong_option_of_train_ends_the_job_with_one_sentence(submit):
    job = submit("hetjob", "--env", "Cartpole-v1", sbatch=HETJOB)
    job.wait("FAILED")
    assert "error: environment 'Cartpole-v1' is not known to Gymnasium; did you mean CartPole-v1" in job.output
    assert "failed with exit code 2" in job.output


def test_a_node_that_never_joins_is_named(submit, slurm):
    slurm("chmod", "600", "/dev/fuse", node="gpu1")
    try:
        job = submit("multinode", *TRAIN, sbatch=("--nodelist=cpu1,gpu1", "--cpus-per-task=2"), RL_WAIT="15")
        job.wait("FAILED")
        assert "error: after 15 s the job still lacks 1 rollout node; rollout gpu1 said last: " in job.output
        assert "/dev/fuse" in job.output
    finally:
        slurm("chmod", "666", "/dev/fuse", node="gpu1")


def test_scancel_leaves_nothing(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=HETJOB)
    job.until(lambda: job.iterations() > 1, 90, "it trains")
    slurm("scancel", job.id, user="alice")
    job.wait("CANCELLED")


def test_two_users_share_nodes_without_noticing(submit):
    both = [submit("hetjob", *TRAIN, "--stop-iters", "3", sbatch=HETJOB, user=user) for user in ("alice", "bob")]
    for job in both:
        job.wait("COMPLETED", "FAILED")
        assert job.state == "COMPLETED", job.told()
    nodes = [{p.parent.name for p in job.files.glob("logs/*/*.log")} for job in both]
    assert nodes[0] & nodes[1]


def test_rl_tells_of_a_job_and_stops_it_with_a_checkpoint(submit, slurm):
    job = submit("hetjob", *TRAIN, "--stop-iters", "100000", sbatch=HETJOB)
    job.until(lambda: job.iterations() > 1, 90, "it trains")
    said = slurm(f"{CHECKOUT}/slurm/rl", "status", job.id, user="alice").stdout
    assert re.search(rf"^job {job.id}: RUNNING, training, 23:5\d:\d\d left$", said, flags=re.M), said
    assert re.search(r"^  rollout  \S+  2 CPUs, 0 GPUs$", said, flags=re.M), said
    assert re.search(r"^  iteration \d+, [\d,]+ env steps, return .* 2 env runners alive$", said, flags=re.M), said
    [learner] = [p.parent.name for p in job.files.glob("logs/*/learner.log")]
    logs = slurm(f"{CHECKOUT}/slurm/rl", "logs", job.id, "--node", learner, user="alice").stdout
    assert f"learner {learner} joined" in logs
    assert "with a checkpoint" in slurm(f"{CHECKOUT}/slurm/rl", "stop", job.id, user="alice").stdout
    job.wait("COMPLETED", "FAILED")
    assert job.state == "COMPLETED", job.told()
    assert job.summary["state"] == "interrupted" and job.summary["iterations"] == len(job.rows)
    assert job.summary["checkpoint"].endswith(f"{len(job.rows):06d}")


def test_rl_submits_by_the_line_that_it_prints(slurm):
    rl = f"{CHECKOUT}/slurm/rl"
    asked = ("submit", "multinode", "--rollout-nodes", "2", "--dry-run", "--", "--env", "CartPole-v1")
    said = slurm(rl, *asked, user="alice").stdout
    assert said == f"would run: sbatch --nodes=2 '{CHECKOUT}/slurm/multinode.sh' --env CartPole-v1\n"
    wrong = slurm(rl, "submit", "hetjobs", user="alice", check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: script 'hetjobs' is not one of hetjob,")
    unknown = slurm(rl, "status", "99999", user="alice", check=False)
    assert unknown.returncode == 2 and "error: Slurm does not know job 99999" in unknown.stderr


def test_a_sweep_has_its_trials_on_the_nodes_of_a_job(submit):
    search = ("sweep", "--env", "CartPole-v1", "--grid", "lr=1e-3,3e-4,1e-4", "--stop-iters", "2")
    job = submit("multinode", *search, *TRAIN[-6:], sbatch=("--nodes=2", "--cpus-per-task=2"))
    job.wait("COMPLETED", "FAILED")
    assert job.state == "COMPLETED", job.told()
    assert "trial   3 of 3" in job.output and "best settings: " in job.output
    assert (job.run / "best.yaml").read_text().startswith("# PPO on CartPole-v1: mean return ")
    assert len(list(job.run.glob("PPO_*/summary.json"))) == 3


def test_the_doctor_knows_the_cluster(slurm):
    done = slurm(f"{CHECKOUT}/slurm/rl", "doctor", user="alice", check=False)
    print(done.stdout, done.stderr)
    assert re.search(r"^ok       slurm\S* [\d.]+\.$", done.stdout, flags=re.M)
    assert re.search(r"^ok       partition main\*: 3 nodes of 8 CPUs, no GPUs, up\.$", done.stdout, flags=re.M)
    assert re.search(r"^ok       partition main\*: 1 nodes of 8 CPUs, gpu:1, up\.$", done.stdout, flags=re.M)
    assert "it mounts rl.sif" in done.stdout and "rl.sif is of this checkout" in done.stdout


OWN = """
import gymnasium


class Mine(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)
    max_episode_steps = 5

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 1.0, False, False, {}
"""


def test_an_environment_of_ones_own_is_found_on_every_node(submit, slurm):
    (slurm.folder / "home/alice/mine.py").write_text(OWN)
    own = ("--env", "../mine.py:Mine", *TRAIN[2:], "--stop-iters", "2")
    job = submit("multinode", *own, sbatch=("--nodes=2", "--cpus-per-task=2"))
    job.wait("COMPLETED", "FAILED")
    assert job.state == "COMPLETED", job.told()
    assert job.summary["episode_return_mean"] == 5 and job.summary["resources"]["num_env_runners"] == 3

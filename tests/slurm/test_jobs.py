"""Jobs as users submit them."""

import json
import re
import subprocess

import pytest
from cluster import CHECKOUT, FAST_NETWORK
from conftest import HETJOB, STAYS, TRAIN, WITH_GPU, leftovers
from tests.rows import without_gap

# All that a healthy job says, line by line.
OURS = (
    r"job \d+, logs and rendezvous in /.*",
    r"\+\d+\.\ds .*",
    r"PPO \(tf\) on CartPole-v1",
    r"(resources: |stops at |run folder: |iter +\d+ |done: mean return ).*",
)
OF_A_MEMBER = (r"(rollout|learner) \w+ joined \S+ from [\d.]+", "the job is over")

# Groups of different sizes, also in memory, which Slurm holds them to.
UNEQUAL = ("--cpus-per-task=1", "--mem-per-cpu=8G", ":", "--nodes=2", "--cpus-per-task=2", "--mem-per-cpu=1G")
UNEQUAL += (":", "--cpus-per-task=3", "--mem-per-cpu=2G", "--gres=none")


def test_a_hetjob_trains_on_the_nodes_of_its_groups_and_leaves_nothing(submit, slurm):
    """A hetjob starts: Ray on four nodes, which share the cores of this machine.

    Then the nodes are searched for ten seconds.
    """
    job = submit("hetjob", *TRAIN, "--stop-iters", "10", sbatch=UNEQUAL, RL_IMAGE_GPU="/not/needed.sif")
    job.until(lambda: "done: mean return" in job.output, 120, "the run is done")
    # Looks for ten seconds.
    assert leftovers(slurm) == []
    job.completes()
    assert job.summary["iterations"] == 10 and job.summary["state"] == "finished"
    assert job.summary["resources"]["num_env_runners"] == 4
    assert re.search(r"^\+\d+\.\ds head \w+ is up at 10\.213\.7\.\d+:\d+$", job.output, flags=re.M)
    assert re.search(r"^\+\d+\.\ds rollout \w+ \w+, learner \w+ joined$", job.output, flags=re.M)
    assert re.search(r"^\+\d+\.\ds the first iteration is done$", job.output, flags=re.M)
    assert "done: mean return" in job.output
    roles = sorted(p.stem for p in job.files.glob("logs/*/*.log"))
    assert roles == ["head", "learner", "rollout", "rollout"]
    assert json.loads((job.files / "cluster.json").read_text())["state"] == "ended"
    foreign = [line for line in job.output.splitlines() if not any(re.fullmatch(ours, line) for ours in OURS)]
    logs = [*job.files.glob("logs/*/rollout.log"), *job.files.glob("logs/*/learner.log")]
    said = [line for log in logs for line in log.read_text().splitlines()]
    foreign += [line for line in said if not any(re.fullmatch(ours, line) for ours in OF_A_MEMBER)]
    assert foreign == []
    assert "RayDeprecationWarning" not in (job.run / "train.log").read_text()


@pytest.mark.fault("TensorFlow does not see the GPU of the learner's node", promise="the job ends at once and says why")
def test_a_learner_whose_gpu_tensorflow_does_not_see_ends_the_job_at_once_and_says_why(submit):
    """A hetjob starts: Ray on four nodes, which share the cores of this machine."""
    without_option = [word for word in TRAIN if word not in ("--num-gpus", "0")]
    job = submit("hetjob", *without_option, sbatch=WITH_GPU)
    job.wait("FAILED")
    assert re.search(
        r"^error: while the job formed, learner gpu1 ended and said last: error: TensorFlow [\d.]+ sees no GPU:"
        r" this image has the CPU build; use rl-gpu\.sif; or let the learner use its CPUs with --num-gpus 0;"
        r" logs are in /home/alice/.*/logs$",
        job.output,
        flags=re.M,
    )
    assert "failed with exit code 1; logs are in" in job.output.splitlines()[-1]


@pytest.mark.fault(
    "a site has a long TMPDIR, a preloaded library, few open files, and steps without an environment",
    promise="a job trains all the same",
)
def test_what_a_site_brings_along_does_no_harm(submit, slurm):
    """A long TMPDIR, a preloaded library, few open files, another network, steps that are passed no environment."""
    long = "/tmp/" + "of-a-site-with-long-names-" * 3
    for name in slurm.names:
        slurm("install", "-d", "-m", "1777", long, node=name)
    brought = {"TMPDIR": long, "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/libmunge.so.2", "RL_INTERFACE": "ib0"}
    # As with `sbatch --export=NONE`; and a token of another Ray's.
    brought |= {"SLURM_EXPORT_ENV": "NONE", "RAY_AUTH_TOKEN": "another"}
    few_files = ("prlimit", "--nofile=64:")
    job = submit("hetjob", *TRAIN, "--stop-iters", "2", sbatch=HETJOB, before=few_files, **brought)
    job.completes()
    for name in slurm.names:
        slurm("rmdir", long, node=name)
    assert re.search(rf"head \w+ is up at {re.escape(FAST_NETWORK)}\.", job.output)
    for log in job.files.rglob("*.log"):
        assert "cannot be preloaded" not in log.read_text(errors="replace"), log


PART_OF_A_NODE = ("--nodes=1", "--cpus-per-task=2")


def test_a_job_of_a_whole_node_uses_every_core(submit):
    """Nine processes import Ray: the head, the learner and seven env runners."""
    job = submit("node", *TRAIN, "--stop-iters", "2")
    job.completes()
    assert job.summary["resources"]["num_env_runners"] == 7


@pytest.mark.fault(
    "Slurm runs a job again whose run is finished", promise="nothing is trained again, and the job says so"
)
@pytest.mark.fault("Slurm has forgotten a job", promise="`slurm/rl status` and `logs` tell of it from its folder")
def test_a_job_of_a_part_of_a_node_is_not_run_again_and_rl_tells_of_it_when_slurm_has_forgotten_it(submit, slurm):
    """Two starts of a job."""
    job = submit("multinode", *TRAIN, "--stop-iters", "2", sbatch=PART_OF_A_NODE)
    job.completes()
    assert job.summary["resources"]["num_env_runners"] == 1
    slurm("scontrol", "requeue", job.id)
    job.until(lambda: "the run of this job is finished" in job.output, 60, "it says so")
    job.wait("COMPLETED")
    assert len(job.rows) == 2
    inside = "/home/" + str(job.files.parent.relative_to(slurm.folder / "home"))
    slurm("cp", "-a", f"{inside}/{job.id}", f"{inside}/99999")
    rl = f"{CHECKOUT}/slurm/rl"
    said = slurm(rl, "status", "99999", user="alice", RL_RUNS=inside).stdout
    assert re.search(r"^job 99999: over$", said, flags=re.M) and "iteration 2, " in said
    assert ", finished: 2 iterations" in said
    assert "joined" not in said
    logs = slurm("sh", "-c", f"cd '{job.folder.name}' && '{rl}' logs 99999", user="alice").stdout
    assert "the run of this job is finished" in logs
    unknown = slurm(rl, "logs", "99998", user="alice", check=False)
    assert unknown.returncode == 2
    assert "error: Slurm does not know job 99998, and there is no /home/alice/runs/99998" in unknown.stderr


@pytest.mark.parametrize("script, sbatch", [("node", ()), ("multinode", PART_OF_A_NODE)])
def test_a_node_with_a_gpu_takes_the_image_for_it_and_says_what_is_wrong(submit, script, sbatch):
    job = submit(script, *TRAIN[:2], sbatch=("--gres=gpu:1", *sbatch), RL_IMAGE_GPU="/nothing.sif")
    job.wait("FAILED")
    assert "error: image /nothing.sif is not there or cannot be read" in job.output
    job = submit(script, *TRAIN[:2], sbatch=("--gpus=1", *sbatch))
    job.wait("FAILED")
    assert re.search(r"^error: TensorFlow [\d.]+ sees no GPU: this image has the CPU build", job.output, flags=re.M)


@pytest.mark.fault("an image of a job is missing", promise="that is told before anything starts")
def test_a_missing_image_is_told_before_anything_starts(submit):
    job = submit("hetjob", *TRAIN, sbatch=WITH_GPU, RL_IMAGE_GPU="/nothing.sif")
    job.wait("FAILED")
    assert "error: image /nothing.sif is not there or cannot be read" in job.output
    assert not job.files.exists()


@pytest.mark.fault("two images of a job have different versions", promise="that is told before anything starts")
def test_images_that_disagree_are_told_before_anything_starts(submit, slurm, apptainer, rl_sif):
    other = slurm.folder / "home/other.sif"
    recipe = slurm.folder / "other.def"
    recipe.write_text("Bootstrap: scratch\n\n%labels\n    rlsif.version.python 3.9.9\n")
    subprocess.run([apptainer, "build", "--force", "--fakeroot", other, recipe], check=True, capture_output=True)
    job = submit("hetjob", *TRAIN, sbatch=WITH_GPU, RL_IMAGE_GPU="/home/other.sif")
    job.wait("FAILED")
    assert re.search(r"error: .*rl\.sif has version\.python 3\.11\.\d+ and /home/other\.sif has 3\.9\.9", job.output)


@pytest.mark.fault("a node of a job cannot start the image", promise="the job ends at once and names the node")
def test_a_node_that_cannot_start_ends_the_job_at_once_and_is_named(submit, slurm):
    slurm("chmod", "600", "/dev/fuse", node="gpu1")
    try:
        job = submit("multinode", *TRAIN, sbatch=("--nodelist=cpu1,gpu1", "--cpus-per-task=2"), RL_WAIT="600")
        job.wait("FAILED")
        assert "error: while the job formed, rollout gpu1 ended and said last: " in job.output
        assert "/dev/fuse" in job.output
    finally:
        slurm("chmod", "666", "/dev/fuse", node="gpu1")


@pytest.mark.fault("a node of a job never joins", promise="the job ends after `RL_WAIT` seconds and names the node")
def test_a_node_that_never_joins_is_named(submit, slurm):
    job = submit("multinode", *TRAIN, sbatch=("--nodelist=cpu1,gpu1", "--cpus-per-task=2"), RL_WAIT="15")
    starting = ("pkill", "-STOP", "-f", "bin/rl rollout")
    job.until(lambda: slurm(*starting, node="gpu1", check=False).returncode == 0, 60, "the node starts")
    job.until(lambda: "error: " in job.output, 60, "the head gives up")
    slurm("pkill", "-CONT", "-f", "bin/rl rollout", node="gpu1")
    job.wait("FAILED")
    said = (
        "error: after 15 s the job still lacks 1 node; rollout gpu1 has not joined and said last: nothing; logs are in"
    )
    assert said in job.output


@pytest.mark.fault("a job is cancelled, however far it is", promise="no process, file or port of it is left")
@pytest.mark.parametrize("said", ["logs and rendezvous in", " is up at "])
def test_scancel_leaves_nothing_however_far_a_job_is(submit, slurm, said):
    """Jobs that train are cancelled in the end of most other tests, which look for what is left, too."""
    job = submit("hetjob", *STAYS, sbatch=HETJOB)
    job.until(lambda: said in job.output, 90, said)
    slurm("scancel", job.id, user="alice")
    job.wait("CANCELLED")
    assert leftovers(slurm) == []


@pytest.mark.fault("two jobs of a user share a node, and one ends", promise="the other continues")
def test_jobs_of_one_user_and_of_two_share_a_node_without_noticing(submit, slurm):
    """Three jobs start, and train beside each other."""
    where = ("--nodelist=cpu1", *PART_OF_A_NODE)
    stays, goes, others = (submit("multinode", *STAYS, sbatch=where, user=user) for user in ("alice", "alice", "bob"))
    for job in (stays, goes, others):
        job.trains()

    def continue_training(*jobs):
        at = [job.iterations() for job in jobs]
        for job, before in zip(jobs, at, strict=True):
            job.until(lambda job=job, before=before: job.iterations() > before + 10, 60, "it continues beside them")

    continue_training(stays, goes, others)
    slurm("scancel", goes.id, user="alice")
    goes.wait("CANCELLED")
    continue_training(stays, others)
    assert all(without_gap(job.rows) for job in (stays, goes, others))
    assert all(row["num_healthy_workers"] == 1 for job in (stays, others) for row in job.rows)


def test_rl_stops_a_job_that_waits_and_knows_one_that_is_over(submit, slurm):
    job = submit("node", *TRAIN, sbatch=("--begin=now+1hour",))
    told = [slurm(f"{CHECKOUT}/slurm/rl", "stop", job.id, user="alice").stdout for _ in range(2)]
    assert told == [f"job {job.id} had not begun to train and is cancelled\n", f"job {job.id} is over: CANCELLED\n"]


def test_rl_submits_by_the_line_that_it_prints(slurm):
    rl = f"{CHECKOUT}/slurm/rl"
    asked = ("submit", "multinode", "--rollout-nodes", "2", "--dry-run", "--", "--env", "CartPole-v1")
    said = slurm(rl, *asked, user="alice").stdout
    assert said == f"would run: sbatch --nodes=2 '{CHECKOUT}/slurm/multinode.sh' --env CartPole-v1\n"
    wrong = slurm(rl, "submit", "hetjobs", user="alice", check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: script 'hetjobs' is not one of hetjob,")
    unknown = slurm(rl, "status", "99999", user="alice", check=False)
    assert unknown.returncode == 2 and "error: Slurm does not know job 99999" in unknown.stderr


def test_the_doctor_knows_the_cluster(slurm):
    done = slurm(f"{CHECKOUT}/slurm/rl", "doctor", user="alice", check=False)
    print(done.stdout, done.stderr)
    assert re.search(r"^ok       slurm\S* [\d.]+\.$", done.stdout, flags=re.M)
    assert re.search(r"^ok       partition main\*: 3 nodes of 8 CPUs, no GPUs, up\.$", done.stdout, flags=re.M)
    assert re.search(r"^ok       partition main\*: 1 node of 8 CPUs, gpu:1, up\.$", done.stdout, flags=re.M)
    assert "it mounts rl.sif" in done.stdout and "rl.sif is of this checkout" in done.stdout


OWN = """
import gymnasium


class Mine:
    possible_agents = ["near", "far"]

    def observation_space(self, agent):
        return gymnasium.spaces.Discrete(2)

    action_space = observation_space

    def reset(self, seed=None, options=None):
        self.agents, self.steps = list(self.possible_agents), 0
        return dict.fromkeys(self.agents, 0), {agent: {} for agent in self.agents}

    def step(self, actions):
        self.steps += 1
        ends = dict.fromkeys(actions, self.steps == 5)
        self.agents = [] if self.steps == 5 else self.agents
        told = {agent: {} for agent in actions}
        return dict.fromkeys(actions, 0), {"near": 1.0, "far": 0.5}, ends, dict.fromkeys(actions, False), told
"""


def test_cpu_jobs_use_every_core_and_an_environment_of_ones_own_is_found_on_every_node(submit, slurm):
    """Two nodes start Ray, a learner and three env runners. The environment has many agents."""
    (slurm.folder / "home/alice/mine.py").write_text(OWN)
    own = ("--env", "../mine.py:Mine", "--policies", "each", *TRAIN[2:], "--stop-iters", "2")
    job = submit("multinode", *own, sbatch=("--nodes=2", "--cpus-per-task=2"))
    job.completes()
    assert job.summary["episode_return_mean"] == 7.5 and job.summary["resources"]["num_env_runners"] == 3
    last = job.rows[-1]
    assert (last["agent_return/near"], last["policy_return/far"]) == (5, 2.5)
    assert last["num_agent_steps_sampled_lifetime"] == 2 * last["num_env_steps_sampled_lifetime"]

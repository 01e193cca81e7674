"""What a resumed run learns with: its place in schedules, settings given anew, a replay buffer that is empty."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.image.test_old_runs import seen
from tests.image.test_shifted_actions import BOTH_SAMPLERS, SHIFTED
from tests.image.test_train import summary, table

OLD = Path(__file__).parents[1] / "data/runs_of_0.1"
SMALL = ("--set", "train_batch_size=400", "--set", "minibatch_size=100", "--set", "num_epochs=1", "--local-mode")
SMALL_DQN = ("--algo", "DQN", "--set", "model.fcnet_hiddens=[16]", "--set", "hiddens=[16]")
DQN = ("--env", "CartPole-v1", "--local-mode", *SMALL_DQN)
SAC = ("--env", "Pendulum-v1", "--algo", "SAC", "--local-mode",
       "--set", "training_intensity=8", "--set", "min_time_s_per_iteration=0",
       "--set", "q_model_config.fcnet_hiddens=[16]", "--set", "policy_model_config.fcnet_hiddens=[16]")  # fmt: skip
STATS = "info/learner/default_policy/learner_stats"


def rows(run):
    return [json.loads(line) for line in (run / "result.json").read_text().splitlines()]


# Adam's own count of updates, in the words of each framework.
ADAMS_COUNT = """
import math, pickle, sys
import ray.rllib, tensorflow
tensorflow.compat.v1.enable_eager_execution()
variables = pickle.load(open(sys.argv[1] + "/policies/default_policy/policy_state.pkl", "rb"))["_optimizer_variables"]
if isinstance(variables, dict):
    power = next(float(v) for name, v in variables.items() if "beta1_power" in name)
    print(round(math.log(power) / math.log(0.9)) - 1)
else:
    print(int(variables[0]))
"""


@pytest.mark.fault(
    "a run is interrupted between two checkpoints",
    promise="it resumes from the last one; every iteration has one row",
)
@pytest.mark.fault("a run is resumed", promise="the optimizer's own variables are those of the checkpoint")
@pytest.mark.fault(
    "a run with schedules of lr and entropy is resumed",
    promise="its first update has the values of its place in the schedule",
)
@pytest.mark.parametrize("framework", ["tf", "tf2"])
def test_a_resumed_run_continues_without_a_gap_in_rows_schedules_and_optimizer(shell, framework):
    schedules = ("--set", "lr_schedule=[[0,1e-5],[4e3,1e-3]]", "--set", "entropy_coeff_schedule=[[0,0.1],[4e3,0]]")
    # With one environment a batch has just the rows that are asked for: four updates.
    one = ("--num-envs-per-env-runner", "1", "--framework", framework)
    assert shell.train("--env", "CartPole-v1", *schedules, *one, *SMALL, "--stop-iters", "3").returncode == 0
    [run] = shell.runs
    counts = [shell("python", "-c", ADAMS_COUNT, summary(run)["checkpoint"]).stdout]
    assert shell.train("--resume", run, "--stop-iters", "6", "--local-mode").returncode == 0
    counts.append(shell("python", "-c", ADAMS_COUNT, summary(run)["checkpoint"]).stdout)
    assert counts == ["12\n", "24\n"]
    assert shell.runs == [run] and summary(run)["iterations"] == 6
    kept = table(run)
    assert [row["training_iteration"] for row in kept] == ["1", "2", "3", "4", "5", "6"]
    for column in ("num_env_steps_sampled_lifetime", "info/learner/default_policy/num_grad_updates_lifetime"):
        values = [float(row[column]) for row in kept]
        assert values == sorted(values) and len(set(values)) == 6
    rates = [row[f"{STATS}/cur_lr"] for row in rows(run)]
    entropy = [row[f"{STATS}/entropy_coeff"] for row in rows(run)]
    assert rates == sorted(rates) and len(set(rates)) == len(rates) == 6
    assert entropy == sorted(entropy, reverse=True) and len(set(entropy)) == 6


@pytest.mark.fault(
    "a run of APPO or IMPALA with schedules of lr and entropy is resumed",
    promise="no update has the values of the schedules' begin again",
)
@pytest.mark.parametrize(
    ("algo", "settings"),
    [("APPO", ()), ("IMPALA", ()), ("IMPALA", ("--set", "learner_queue_size=8"))],
    ids=["APPO", "IMPALA", "IMPALA as RLlib learns it"],
)
def test_schedules_of_what_learns_without_a_pause_continue_after_a_resume(shell, algo, settings):
    rates, coefficients = "[[0,1e-5],[80e3,1e-3]]", "[[0,0.1],[80e3,0]]"
    schedules = ("--set", f"lr_schedule={rates}", "--set", f"entropy_coeff_schedule={coefficients}")
    small = ("--set", "train_batch_size=512", "--set", "min_time_s_per_iteration=0", "--num-env-runners", "1")
    # An iteration has one batch; of RLlib's own, whose updates come later than their rows, some.
    rows_of_one = 4096 if settings else 512
    length = ("--set", f"min_sample_timesteps_per_iteration={rows_of_one}", "--stop-iters")
    begun = shell.train("--env", "CartPole-v1", "--algo", algo, *small, *schedules, *settings, *length, "6")
    assert begun.returncode == 0, begun.stderr
    assert ("RLlib learns" in begun.stdout) == bool(settings)
    [run] = shell.runs
    assert shell.train("--resume", run, "--num-env-runners", "1", "--stop-iters", "9").returncode == 0
    told = [row for row in rows(run) if f"{STATS}/cur_lr" in row]
    assert told[-1]["training_iteration"] > 6 >= told[0]["training_iteration"]
    # Schedules that begin anew would fall back.
    rates = [row[f"{STATS}/cur_lr"] for row in told]
    coefficients = [row[f"{STATS}/entropy_coeff"] for row in told]
    assert rates == sorted(rates) and rates[0] < rates[-1]
    assert coefficients == sorted(coefficients, reverse=True)


@pytest.mark.fault(
    "a run of DQN whose epsilon has come to its end is resumed, with env runners of their own",
    promise="no action is drawn by the schedule's begin again",
)
@BOTH_SAMPLERS
def test_an_epsilon_continues_after_a_resume(shell, settings, sampled):
    (shell.folder / "shifted.py").write_text(SHIFTED)
    greedy = ("--set", "exploration_config={epsilon_timesteps: 100, final_epsilon: 0.0}", *settings)
    small = ("--set", "min_sample_timesteps_per_iteration=400", "--set", "min_time_s_per_iteration=0")
    small += ("--set", "num_steps_sampled_before_learning_starts=300", "--num-envs-per-env-runner", "1")
    asked = ("--env", "shifted.py:Choice", *SMALL_DQN, *greedy, *small, "--num-env-runners", "1")
    done = shell.train(*asked, "--stop-iters", "1")
    assert done.returncode == 0 and f"sampled {sampled}" in done.stdout, done.stderr
    noted = shell.folder / "seen"
    # The first one is of the command, which looks at the environment.
    assert len({line.split()[1] for line in noted.read_text().splitlines()[1:101]}) == 3
    noted.unlink()
    done = shell.train("--resume", *shell.runs, "--num-env-runners", "1", "--stop-iters", "2")
    assert done.returncode == 0 and "learning waits for 300 new env steps" in done.stdout, done.stderr
    # It sees one state alone, and learns nothing yet.
    actions = [line.split()[1] for line in noted.read_text().splitlines()[1:281]]
    assert len(actions) == 280 and len(set(actions)) == 1


@pytest.mark.fault(
    "a run of PPO, DQN or SAC is resumed",
    promise="all that the learner keeps, target networks and optimizers too, is as it was",
)
@pytest.mark.parametrize(("framework", "algos"), [("tf", ("PPO", "DQN", "SAC")), ("tf2", ("PPO", "DQN"))])
def test_a_learner_that_is_resumed_has_nothing_of_a_new_one(shell, framework, algos):
    done = shell("python", Path(__file__).with_name("seam.py"), framework, *algos)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == list(algos)
    for told in found.values():
        assert told["differ"] == told["attributes"] == []
        assert told["trained"] > told["variables"] / 2
        assert told["gammas"][1] == 0.5 != told["gammas"][0]
        assert told["evaluations"][0] == told["evaluations"][1]


# A learner as `train --resume --set` builds it; prints what its policy and its sampler would use.
SETTINGS = """
import sys
from dataclasses import replace
from pathlib import Path
from rlsif.cluster.ray_node import want_tensorflow
want_tensorflow()
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
from rlsif.envs.find import find
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Layout
from rlsif.training.saved import spec_of
run, samples = Path(sys.argv[1]), sys.argv[2]
spec = spec_of(run)
given = {**spec.hyperparameters, "gamma": 0.5, "lambda": 0.25, "clip_param": 0.125, "lr": 0.0625}
learner = Learner()
layout = Layout(0, 1, 0.0, 1, local_mode=True, rllib_samples="asked" if samples == "rllib" else None)
learner.build(replace(spec, hyperparameters=given), layout, find(spec.env))
learner.restore(str(run / "checkpoints/checkpoint_000002"))
policy = learner._algorithm.get_policy()
rate = policy.get_session().run(policy.cur_lr)
print("used", [*(policy.config[name] for name in ("gamma", "lambda", "clip_param")), float(rate)])
if samples == "numpy":
    sampler = learner._algorithm.env_runner._sampling.sampler
    print("sampled", [sampler._config[name] for name in ("gamma", "lambda")])
"""


@pytest.mark.fault("a resumed run is given other settings", promise="learner and sampler use them")
@pytest.mark.parametrize(("kind", "samples"), [("dense", "numpy"), ("recurrent", "rllib")])
def test_settings_given_to_a_resumed_run_are_used(shell, kind, samples):
    run = shell.folder / kind
    shutil.copytree(OLD / kind, run)
    done = shell("python", "-c", SETTINGS, run, samples)
    assert done.returncode == 0, done.stderr
    assert "used [0.5, 0.25, 0.125, 0.0625]" in done.stdout
    assert samples == "rllib" or "sampled [0.5, 0.25]" in done.stdout


@pytest.mark.fault(
    "a resumed run is given another gamma, clipping, loss or rate of learning, with either framework",
    promise="losses and steps are those of a new learner with these settings",
)
@pytest.mark.parametrize(
    ("framework", "algos"), [("tf", ("PPO", "DQN", "SAC", "APPO", "IMPALA")), ("tf2", ("PPO", "DQN"))]
)
def test_losses_of_a_resumed_run_are_of_the_settings_given_to_it(shell, framework, algos):
    """Each algorithm is built five times, one after the other."""
    done = shell("python", Path(__file__).with_name("other_settings.py"), framework, *algos)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == list(algos)
    for told in found.values():
        before, resumed, new = told["losses"]
        assert resumed == pytest.approx(new, rel=1e-4)
        assert resumed != pytest.approx(before, rel=1e-3)
        # Adam's steps are in proportion to its rate.
        assert told["steps"][0] / told["steps"][1] == pytest.approx(100, rel=0.05)


@pytest.mark.fault(
    "DQN or SAC is resumed with an empty replay buffer",
    promise="learning waits for new rows, and a line says so",
)
@pytest.mark.parametrize("algo", [DQN, SAC], ids=["DQN", "SAC"])
def test_learning_waits_for_rows_when_the_buffer_is_empty_again(shell, algo):
    algo = (*algo, "--set", "min_sample_timesteps_per_iteration=400")
    fill = ("--set", "num_steps_sampled_before_learning_starts=1000", "--stop-iters")
    assert shell.train(*algo, *fill, "4").returncode == 0
    [run] = shell.runs
    done = shell.train("--resume", run, "--local-mode", "--stop-iters", "8")
    assert done.returncode == 0, done.stderr
    assert "the replay buffer is empty: learning waits for 1,000 new env steps" in done.stdout
    learned = [row.get("info/learner/default_policy/num_grad_updates_lifetime") for row in rows(run)]
    # Iterations of 400 env steps: two that only sample, before the run and after it was resumed.
    assert [value is None for value in learned[:2]] == [True, True] and learned[3] is not None
    assert [value is None for value in learned[4:6]] == [True, True] and learned[7] > learned[3]


@pytest.mark.fault(
    "DQN or SAC is resumed with --save-replay-buffer", promise="it learns at once, from the rows that it had"
)
@pytest.mark.parametrize("algo", [DQN, SAC], ids=["DQN", "SAC"])
def test_a_replay_buffer_in_checkpoints_is_learned_from_at_once(shell, algo):
    algo = (*algo, "--set", "min_sample_timesteps_per_iteration=2400")
    save = ("--save-replay-buffer", "--checkpoint-every", "1", "--stop-iters")
    done = shell.train(*algo, *save, "3")
    assert done.returncode == 0, done.stderr
    assert re.search(r"a replay buffer of 100,000 rows, up to .* MB, saved with checkpoints", done.stdout), done.stdout
    [run] = shell.runs
    files = {path.name: path for path in sorted((run / "checkpoints").glob("*/replay_buffer/rows_*"))}
    whole = files["rows_000000000000_000000004096.npz"]
    assert whole.stat().st_nlink == 2, "the third checkpoint links what the second wrote"
    done = shell.train("--resume", run, "--local-mode", "--stop-iters", "4")
    assert done.returncode == 0, done.stderr
    assert "replay buffer is empty" not in done.stdout
    learned = [row["info/learner/default_policy/num_grad_updates_lifetime"] for row in rows(run)[1:]]
    # As many updates after the resume as before it.
    assert learned[2] - learned[1] == learned[1] - learned[0]


@pytest.mark.fault(
    "a run that filters observations is resumed, with env runners of their own",
    promise="the filter continues from what it has seen",
)
@BOTH_SAMPLERS
def test_a_filter_continues_from_what_it_has_seen(shell, settings, sampled):
    small = ("--set", "observation_filter=MeanStdFilter", *SMALL[:-1], "--num-env-runners", "1")
    done = shell.train("--env", "CartPole-v1", *small, *settings, "--stop-iters", "2")
    assert done.returncode == 0 and f"sampled {sampled}" in done.stdout, done.stderr
    [run] = shell.runs
    assert shell.train("--resume", run, "--num-env-runners", "1", "--stop-iters", "4").returncode == 0
    steps = [row["num_env_steps_sampled_lifetime"] for row in rows(run)]
    before, after = (seen(shell, run / f"checkpoints/checkpoint_00000{number}") for number in (2, 4))
    assert before >= steps[1] and after - before >= steps[3] - steps[1] > 0


@pytest.mark.fault(
    "a run that scales rewards is resumed, with env runners of their own",
    promise="the scale continues from the returns that it has seen",
)
@pytest.mark.parametrize("algo", ["PPO", "APPO"])
def test_a_scale_of_rewards_continues_from_what_it_has_seen(shell, algo):
    small = ("--set", "train_batch_size=400", "--num-env-runners", "1", "--algo", algo)
    small += ("--set", "minibatch_size=100", "--set", "num_epochs=1") if algo == "PPO" else ()
    done = shell.train("--env", "CartPole-v1", *small, "--normalize-rewards", "--stop-iters", "2")
    assert done.returncode == 0 and "rewards scaled" in done.stdout, done.stderr
    [run] = shell.runs
    assert json.loads((run / "params.json").read_text())["run"]["normalize_rewards"] is True
    done = shell.train("--resume", run, "--num-env-runners", "1", "--stop-iters", "4")
    assert done.returncode == 0 and "rewards scaled" in done.stdout, done.stderr
    steps = [row["num_env_steps_sampled_lifetime"] for row in rows(run)]
    before, after = (seen(shell, run / f"checkpoints/checkpoint_00000{number}") for number in (2, 4))
    assert before >= steps[1] and after - before >= steps[3] - steps[1] > 0
    # A return of CartPole's is its length.
    last = rows(run)[-1]
    assert last["env_runners/episode_return_mean"] == last["env_runners/episode_len_mean"]
    done = shell("evaluate", run, "--episodes", "2", "--json")
    assert done.returncode == 0, done.stderr


# Every variable that Ray, Python or TensorFlow read, and that a host may carry.
CARRIED = {
    "RAY_ADDRESS": "10.0.0.1:6379", "RAY_NAMESPACE": "other", "RAY_TMPDIR": "/nowhere",
    "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}",
    "RAY_LOG_TO_DRIVER": "0", "RAY_DEDUP_LOGS": "0", "RAY_BACKEND_LOG_LEVEL": "debug",
    "RLLIB_NUM_GPUS": "1", "RLLIB_TEST_NO_TF_IMPORT": "1", "RLLIB_TEST_NO_JAX_IMPORT": "1",
    "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONPATH": "/nowhere", "PYTHONHASHSEED": "1",
    "TF_CONFIG": "{}", "TF_FORCE_GPU_ALLOW_GROWTH": "true", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
    "TF_NUM_INTRAOP_THREADS": "64", "XLA_FLAGS": "--xla_no_such_flag", "KERAS_BACKEND": "torch",
    "PYTHONHOME": "/nowhere", "PYTHONSTARTUP": "/nowhere/start.py", "PYTHONINSPECT": "1", "PYTHONDEVMODE": "1",
    "PYTHONIOENCODING": "latin-1", "PYTHONSAFEPATH": "1",
    "PYTHONPLATLIBDIR": "lib64", "PYTHONVERBOSE": "1", "PYTHONPROFILEIMPORTTIME": "1", "TUNE_RESULT_DIR": "/nowhere",
    "PYTHONBREAKPOINT": "none.none", "PYTHONINTMAXSTRDIGITS": "640",
    "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "64", "MPLBACKEND": "module://nothing",
}  # fmt: skip


@pytest.mark.fault(
    "the host carries variables of Ray, Python and TensorFlow, and files named as libraries",
    promise="the run is the same as without them",
)
def test_nothing_that_a_host_carries_in_its_environment_changes_a_run(container):
    """Three commands, each from its start, for variables are read there."""
    for name in ("tree.py", "numpy.py", "ray.py"):
        (container.folder / name).write_text("raise ImportError('the user\\'s file hides a library')\n")
    # Another type of numbers, as a user's home may name it.
    (container.folder / "keras").mkdir()
    (container.folder / "keras/keras.json").write_text('{"floatx": "float64"}')
    carried = {**CARRIED, "KERAS_HOME": str(container.folder / "keras")}
    small = ("--set", "train_batch_size=200", "--set", "minibatch_size=100", "--set", "num_epochs=1")
    options = ("--env", "CartPole-v1", "--stop-iters", "1", *small, "--results-dir", container.folder / "results")
    done = container("train", *options, env=carried)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for command in (("evaluate", container.runs[0], "--episodes", "1"), ("check", "CartPole-v1")):
        done = container(*command, env=carried)
        assert done.returncode == 0 and done.stderr == ""

"""Environments that give what is not of their spaces, and environments written in other ways."""

import json

import pytest

from tests.image.test_shifted_actions import BOTH_SAMPLERS

SMALL = ("--set", "train_batch_size=400", "--set", "minibatch_size=100", "--set", "num_epochs=1", "--local-mode")
# Iterations by env steps and not by time.
DQN = ("--algo", "DQN", "--set", "min_time_s_per_iteration=0", "--set", "min_sample_timesteps_per_iteration=400")
ENVS = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete


class Base(gymnasium.Env):
    observation_space, action_space, max_episode_steps = Box(-1, 1, (2,)), Discrete(2), 20
    steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        Base.steps += 1
        return *self.seen(), False, False, {}

    def seen(self):
        return np.zeros(2, np.float32), 0.7 / 20


class Nan(Base):
    def seen(self):
        return np.array([0, np.nan if Base.steps == 900 else 0], np.float32), 1.0


class Infinite(Base):
    def seen(self):
        return np.zeros(2, np.float32), np.inf if Base.steps == 900 else 1.0


class Huge(Base):
    def seen(self):
        return np.zeros(2, np.float32), 1e39 if Base.steps == 900 else 1.0


class NumbersNan(Base):
    action_space = Box(-1, 1, (1,))

    def seen(self):
        return np.zeros(2, np.float32), np.nan if Base.steps == 900 else 1.0


class Gone(Base):
    def seen(self):
        if Base.steps == 900:
            raise ConnectionResetError("the simulator has gone")
        return np.zeros(2, np.float32), 1.0


class Looks(Base):
    def step(self, action):
        assert self.action_space.contains(action), action
        return super().step(action)


class Double(Looks):
    observation_space, action_space = Box(-1, 1, (2,), np.float64), Box(-2, 30, (2,), np.float64)


class Half(Looks):
    observation_space, action_space = Box(-1, 1, (2,), np.float16), Box(-2, np.inf, (1, 2), np.float16)


class Scalar(Looks):
    action_space = Box(15, 30, (), np.float64)


class Table(Looks):
    action_space = MultiDiscrete(np.array([[2, 3], [4, 2]]), start=np.array([[1, 0], [-3, 7]]))


class NoReward(Base):
    def seen(self):
        return np.zeros(2, np.float32), None if Base.steps == 900 else 1.0


class Short(Base):
    def seen(self):
        return np.zeros(1 if Base.steps == 900 else 2, np.float32), 1.0


class NanReward(Base):
    # In episodes of evaluations alone.
    def reset(self, *, seed=None, options=None):
        self.spoils = np.nan if seed == 0 else 0.0
        return super().reset(seed=seed)

    def seen(self):
        return np.zeros(2, np.float32), 1.0 + self.spoils


class NanSeen(NanReward):
    def seen(self):
        return np.array([0.0, self.spoils], np.float32), 1.0


class RLlibs(Base):
    def __init__(self, config):
        assert config == {"size": 3, "start": "2020-01-01", "country": "no", "time": "12:30", "code": "007"}, config
        assert config.worker_index >= 0
        self.action_space = Discrete(config["size"], start=-1)

    def step(self, action):
        assert action in (-1, 0, 1)
        return super().step(action)


class Wrapped(gymnasium.Wrapper):
    def __init__(self, gravity=9.8):
        super().__init__(gymnasium.make("CartPole-v1"))


def make_pole(**_):
    return gymnasium.make("CartPole-v1")
"""


@pytest.fixture
def envs(shell):
    (shell.folder / "envs.py").write_text(ENVS)
    return shell


@pytest.mark.fault(
    "an environment gives nan, infinity, more than float32 can hold, no reward, or an observation of another shape",
    promise="the run ends, and names environment, copy, step and value; the last good checkpoint stays",
)
@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("Nan", "gave nan as observation[1] after"),
        ("Infinite", "gave inf as reward after"),
        ("Huge", "gave 1e+39 as reward after"),
        ("NoReward", "the reward is nan, None or a text"),
        ("Short", "its shape is [1], the space's is [2]"),
    ],
)
def test_a_value_that_would_spoil_the_weights_ends_the_run_by_name(envs, env, said):
    one = ("--num-envs-per-env-runner", "1", "--checkpoint-every", "1")
    done = envs.train("--env", f"envs.py:{env}", *one, *SMALL, "--stop-reward", "475", "--stop-iters", "9")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"envs.py:{env}: copy 0 of the environment" in done.stderr and said in done.stderr
    [run] = envs.runs
    summary = json.loads((run / "summary.json").read_text())
    assert summary["state"] == "failed" and summary["iterations"] == 2
    assert summary["checkpoint"].endswith("checkpoint_000002")


@pytest.mark.fault(
    "an environment gives nan in an evaluation while the run trains, or under `evaluate`",
    promise="both end with a sentence that names it; no checkpoint is the best one for it",
)
@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("NanReward", "the environment gave nan as reward in step 1 of the episode of seed 0; it must be a finite num"),
        ("NanSeen", "envs.py:NanSeen gave nan as observation[1]; `check` tells more"),
    ],
)
def test_a_value_that_would_spoil_an_evaluation_ends_it_by_name(envs, env, said):
    evaluated = ("--evaluate-every", "2", "--checkpoint-every", "1", "--stop-iters", "9")
    done = envs.train("--env", f"envs.py:{env}", *evaluated, *SMALL)
    [run] = envs.runs
    summary = json.loads((run / "summary.json").read_text())
    assert summary["state"] == "failed" and summary["best_checkpoint"].endswith("checkpoint_000001")
    for ended in (done, envs("evaluate", run, "--episodes", "1")):
        assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1 and said in ended.stderr


@pytest.mark.fault(
    "the file of an environment was moved",
    promise="the sentence says that it is missing; `--env` names its new place",
)
@pytest.mark.parametrize("name", ["RLlibs", "Wrapped", "make_pole"])
def test_environments_written_in_other_ways_train_and_are_evaluated(envs, name):
    # What YAML 1.1 takes for a date, a truth and numbers.
    given = ("size=3", "start=2020-01-01", "country=no", "time=12:30", "code=007") if name == "RLlibs" else ()
    config = [word for each in given for word in ("--env-config", each)]
    done = envs.train("--env", f"envs.py:{name}", *config, *SMALL, "--stop-iters", "1")
    assert done.returncode == 0, done.stderr
    assert "sampled in NumPy" in done.stdout
    [run] = envs.runs
    (envs.folder / "new place").mkdir()
    (envs.folder / "envs.py").rename(envs.folder / "new place/envs.py")
    done = envs("evaluate", run, "--episodes", "1")
    assert done.returncode == 2 and "there is no file" in done.stderr
    done = envs("evaluate", run, "--episodes", "1", "--env", f"new place/envs.py:{name}")
    assert done.returncode == 0, done.stderr
    # The same options again, as a job has them that is requeued.
    moved = ("--resume", run, "--env", f"new place/envs.py:{name}", *config)
    assert envs.train(*moved, "--local-mode", "--stop-iters", "2").returncode == 0


@pytest.mark.fault("the module of an environment was moved", promise="`--env` names its new place")
def test_a_module_that_was_moved_is_evaluated_and_resumes_from_its_new_place(envs):
    done = envs.train("--env", "envs:Wrapped", *SMALL, "--stop-iters", "1")
    assert done.returncode == 0, done.stderr
    [run] = envs.runs
    (envs.folder / "package").mkdir()
    (envs.folder / "envs.py").rename(envs.folder / "package/moved.py")
    done = envs("evaluate", run, "--episodes", "1")
    assert done.returncode == 2 and "envs" in done.stderr and "Traceback" not in done.stderr
    assert envs("evaluate", run, "--episodes", "1", "--env", "package.moved:Wrapped").returncode == 0
    moved = ("--resume", run, "--env", "package.moved:Wrapped")
    assert envs.train(*moved, "--local-mode", "--stop-iters", "2").returncode == 0


@pytest.mark.fault("rewards add up to the stop reward only without rounding", promise="the stop reward is reached")
def test_a_return_is_summed_exactly_enough_to_be_reached(envs):
    done = envs.train("--env", "envs.py:Base", *SMALL, "--stop-reward", "0.7", "--stop-iters", "12")
    assert done.returncode == 0 and "reached 0.7" in done.stdout, done.stdout


@pytest.mark.fault(
    "an environment fails before the first checkpoint is due",
    promise="what was learned is kept in a checkpoint",
)
@pytest.mark.parametrize(
    ("env", "settings", "iterations"),
    [("Nan", SMALL[:-1], 2), ("Infinite", SMALL[:-1], 2), ("Infinite", DQN, 1)],
)
def test_what_was_learned_before_an_env_runner_failed_is_kept(envs, env, settings, iterations):
    one = ("--num-env-runners", "1", "--num-envs-per-env-runner", "1", *settings)
    done = envs.train("--env", f"envs.py:{env}", *one, "--stop-iters", "9")
    assert done.returncode == 1 and "which would spoil every weight" in done.stderr
    [run] = envs.runs
    summary = json.loads((run / "summary.json").read_text())
    [checkpoint] = (run / "checkpoints").iterdir()
    assert summary["iterations"] == iterations and checkpoint.name == f"checkpoint_00000{iterations}"
    assert summary["checkpoint"].endswith(checkpoint.name)


@pytest.mark.fault(
    "an environment in the learner's process raises an error of the system",
    promise="the run ends with a sentence, its traceback, a checkpoint and a summary, as with any error",
)
@pytest.mark.parametrize("place", ["--local-mode", "--num-env-runners=0"])
def test_an_error_of_the_system_is_one_as_others(envs, place):
    one = ("--num-envs-per-env-runner", "1", *SMALL[:-1])
    done = envs.train("--env", "envs.py:Gone", *one, place, "--stop-iters", "9")
    assert done.returncode == 1 and "training failed: ConnectionResetError: the simulator has gone" in done.stderr
    [run] = envs.runs
    summary = json.loads((run / "summary.json").read_text())
    assert summary["state"] == "failed" and summary["checkpoint"].endswith("checkpoint_000002")


@pytest.mark.fault(
    "an environment gives nan or infinity to APPO, IMPALA, DQN or SAC",
    promise="the run ends by name as with PPO",
)
@pytest.mark.parametrize(
    ("algo", "env", "said"),
    [
        ("APPO", "Nan", "nan as observation[1]"),
        ("IMPALA", "Infinite", "inf as reward"),
        ("DQN", "Nan", "nan as observation[1]"),
        ("DQN", "Infinite", "inf as reward"),
        ("SAC", "NumbersNan", "the reward is nan"),
    ],
)
def test_every_sampler_sees_a_number_that_is_none(envs, algo, env, said):
    one = ("--num-envs-per-env-runner", "1", "--local-mode" if algo in ("DQN", "SAC") else "--num-cpus=2")
    done = envs.train("--env", f"envs.py:{env}", "--algo", algo, *one, "--stop-timesteps", "100000")
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert f"envs.py:{env}: copy 0 of the environment" in done.stderr
    assert json.loads((envs.runs[0] / "summary.json").read_text())["state"] == "failed"


@pytest.mark.fault("a folder's name has letters beyond ASCII", promise="the run works as in any other")
def test_a_folder_with_letters_beyond_ascii_is_a_folder_like_others(shell):
    folder = shell.folder / "Jürgens Umgebung"
    folder.mkdir()
    (folder / "envs.py").write_text(ENVS)
    done = shell.train("--env", f"{folder}/envs.py:Base", *SMALL, "--stop-iters", "1")
    assert done.returncode == 0, done.stderr


@pytest.mark.fault("an environment calls sys.exit", promise="the run ends with a sentence that says so")
def test_an_environment_that_ends_its_process_is_told(envs):
    (envs.folder / "ends.py").write_text(
        f"{ENVS}\n\nclass Ends(Base):\n    def seen(self):\n"
        "        if Base.steps == 20:\n            raise SystemExit(3)\n"
        "        return np.zeros(2, np.float32), 1.0\n"
    )
    done = envs.train("--env", "ends.py:Ends", *SMALL, "--stop-iters", "1")
    assert done.returncode == 1 and "error: the environment called sys.exit(3)" in done.stderr
    assert json.loads((envs.runs[0] / "summary.json").read_text())["state"] == "failed"


@pytest.mark.fault(
    "an environment, or a library of it, ends its process without an exception",
    promise="what was learned is kept, and the run ends within seconds with a sentence that names the env runner",
)
def test_an_environment_that_ends_its_process_without_a_word_is_named(envs):
    (envs.folder / "ends.py").write_text(
        f"{ENVS}\n\nimport os\nfrom pathlib import Path\n\nENDED = Path(__file__).with_name('ended')\n\n\n"
        "class Ends(Base):\n    def seen(self):\n"
        "        if Base.steps == 500 or ENDED.exists():\n            ENDED.touch()\n            os._exit(3)\n"
        "        return np.zeros(2, np.float32), 1.0\n"
    )
    one = ("--num-env-runners", "1", "--num-envs-per-env-runner", "1", *SMALL[:-1])
    done = envs.train("--env", "ends.py:Ends", *one, "--stop-iters", "9")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: the process of env runner 1 on " in done.stderr and "ended 3 times" in done.stderr
    assert json.loads((envs.runs[0] / "summary.json").read_text())["checkpoint"]


@pytest.mark.fault(
    "the process of an env runner ends, of a run with a seed",
    promise="the one in its place has other seeds, and does not repeat what the first has sampled",
)
@BOTH_SAMPLERS
def test_an_env_runner_that_is_started_again_has_other_seeds(envs, settings, sampled):
    (envs.folder / "ends.py").write_text(
        f"{ENVS}\n\nimport os\nfrom pathlib import Path\n\nHERE = Path(__file__).parent\n\n\n"
        "class Ends(Base):\n    def reset(self, *, seed=None, options=None):\n"
        "        if seed is not None:\n"
        "            with (HERE / 'seeds').open('a') as file:\n                print(os.getpid(), seed, file=file)\n"
        "        return super().reset(seed=seed, options=options)\n\n"
        "    def seen(self):\n"
        "        if Base.steps == 500 and not (HERE / 'ended').exists():\n"
        "            (HERE / 'ended').touch()\n            os._exit(3)\n"
        "        return np.zeros(2, np.float32), 1.0\n"
    )
    one = ("--num-env-runners", "1", "--num-envs-per-env-runner", "2", "--seed", "1", *SMALL[:-1])
    done = envs.train("--env", "ends.py:Ends", *one, *settings, "--stop-iters", "9")
    assert done.returncode == 0 and f"sampled {sampled}" in done.stdout, done.stderr
    seeds = {}
    for line in (envs.folder / "seeds").read_text().splitlines():
        process, seed = line.split()
        seeds.setdefault(process, set()).add(seed)
    # The first process is the command's, which looks at the environment.
    _, first, second = seeds.values()
    assert len(first) == len(second) == 2 and not first & second


@pytest.mark.fault(
    "a run is resumed with another network",
    promise="it is refused, and the run's files stay as they are",
)
def test_a_resume_with_another_network_is_refused_and_changes_nothing(envs):
    done = envs.train("--env", "CartPole-v1", *SMALL, "--stop-iters", "1")
    [run] = envs.runs
    before = (run / "params.json").read_text()
    again = ("--resume", run, "--stop-iters", "2", "--local-mode")
    done = envs.train(*again, "--set", "model.fcnet_hiddens=[8]")
    assert done.returncode == 2 and "another network is a new run" in done.stderr
    assert (run / "params.json").read_text() == before
    assert envs.train(*again).returncode == 0


@pytest.mark.fault(
    "actions are float16 or float64, half bounded, of no or two dimensions, or do not start at 0",
    promise="every algorithm that takes them trains, and every action is in the space",
)
@pytest.mark.parametrize(
    ("algo", "env"),
    [
        ("PPO", "Half"),
        ("PPO", "Scalar"),
        ("APPO", "Double"),
        ("APPO", "Table"),
        ("IMPALA", "Half"),
        ("SAC", "Double"),
        ("SAC", "Scalar"),
    ],
)
def test_actions_of_every_width_and_shape_are_trained(envs, algo, env):
    local = () if algo in ("APPO", "IMPALA") else ("--local-mode",)
    batch = {"PPO": 200, "APPO": 100, "IMPALA": 100, "SAC": 32}[algo]
    small = ("--set", f"train_batch_size={batch}", *local, "--num-envs-per-env-runner", "1")
    small += ("--set", "minibatch_size=100") if algo == "PPO" else ()
    done = envs.train("--env", f"envs.py:{env}", "--algo", algo, *small, "--stop-timesteps", "400")
    assert done.returncode == 0, done.stderr
    done = envs("evaluate", envs.runs[0], "--episodes", "1")
    assert done.returncode == 0, done.stderr

"""A network of the user's own, `--model`: it learns, is found again, and what is wrong with it is told."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests import recorded
from tests.image.test_train import table

ROOT = Path(__file__).parents[1]
NETWORKS = ROOT / "data/networks.py"
SMALL = ("--stop-iters", "1", "--set", "train_batch_size=256", "--set", "minibatch_size=128")
HERE = ("--local-mode", *SMALL)


def the_pages_networks():
    """Both of docs/training.md: Network, and Fast, which is the same in NumPy."""
    text = (ROOT.parent / "docs/training.md").read_text().partition("## A network of your own")[2]
    return "".join(re.findall(r"```python\n(.*?)```", text.partition("\n## ")[0], re.S))


def test_the_pages_network_learns_and_is_found_again_after_it_moved(shell):
    """Three commands, sampled by RLlib."""
    (shell.folder / "mine.py").write_text(the_pages_networks())
    asked = ("--model", "mine.py:Network", "--set", "model.custom_model_config.width=48")
    done = shell.train("--env", "CartPole-v1", *asked, "--stop-reward", "150", "--local-mode", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert "sampled by RLlib, because the network is one of your own" in done.stdout
    assert "over 100 episodes reached 150" in done.stdout
    [run] = shell.runs
    params = json.loads((run / "params.json").read_text())
    assert params["run"]["network"] == f"{shell.folder}/mine.py:Network"
    assert params["run"]["hyperparameters"]["model"] == {"custom_model_config": {"width": 48}}
    iterations = len(table(run))
    greedy = shell("evaluate", run, "--json")
    assert json.loads(greedy.stdout)["return_mean"] > 150, greedy.stderr
    (shell.folder / "elsewhere").mkdir()
    (shell.folder / "mine.py").rename(shell.folder / "elsewhere/mine.py")
    lost = shell("evaluate", run)
    assert lost.returncode == 2
    assert f"--model {shell.folder}/mine.py:Network: there is no file {shell.folder}/mine.py" in lost.stderr
    there = ("--model", "elsewhere/mine.py:Network")
    again = shell("evaluate", run, "--json", *there)
    assert json.loads(again.stdout)["returns"] == json.loads(greedy.stdout)["returns"], again.stderr
    until = ("--stop-iters", str(iterations + 1), "--local-mode")
    resumed = shell.train("--resume", run, *there, *until)
    assert resumed.returncode == 0, resumed.stderr
    before, after = table(run)[-2:]
    assert int(after["training_iteration"]) == iterations + 1
    assert float(after["env_runners/episode_return_mean"]) > 0.8 * float(before["env_runners/episode_return_mean"])
    # The run has the new place now.
    assert json.loads(shell("evaluate", run, "--last", "--json").stdout)["return_mean"] > 100


def test_a_network_beside_its_environment_moves_with_it_and_env_runners_have_it(shell):
    shutil.copy(NETWORKS, shell.folder / "mine.py")
    done = shell.train("--env", "mine.py:Shown", "--model", "mine.py:Plain", "--num-env-runners", "1", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "1 env runner, " in done.stdout
    [run] = shell.runs
    (shell.folder / "mine.py").rename(shell.folder / "theirs.py")
    moved = ("--env", "theirs.py:Shown")
    assert json.loads(shell("evaluate", run, "--json", *moved).stdout)["length_mean"] == 10
    more = ("--stop-iters", "2", "--evaluate-every", "1", "--local-mode")
    resumed = shell.train("--resume", run, *moved, *more)
    assert resumed.returncode == 0, resumed.stderr
    evaluated = json.loads(shell("evaluate", run, "--last", "--json", "--episodes", "10").stdout)
    assert evaluated["return_mean"] == pytest.approx(float(table(run)[-1]["evaluation/episode_return_mean"]))


def test_the_pages_network_in_numpy_learns_and_appo_learns_it_in_one_call(shell):
    (shell.folder / "mine.py").write_text(the_pages_networks())
    fast = ("--env", "CartPole-v1", "--model", "mine.py:Fast", "--num-env-runners", "1")
    done = shell.train(*fast, "--stop-reward", "150", "--stop-timesteps", "200000")
    assert done.returncode == 0, done.stderr
    assert "sampled in NumPy" in done.stdout and "over 100 episodes reached 150" in done.stdout
    [run] = shell.runs
    assert json.loads(shell("evaluate", run, "--json").stdout)["return_mean"] > 150
    done = shell.train(*fast, "--algo", "APPO", "--stop-iters", "1")
    assert done.returncode == 0, done.stderr
    assert "is learned in one call of TensorFlow" in done.stdout


@pytest.mark.parametrize(
    "settings",
    [
        ("--env", "CartPole-v1", "--framework", "tf2"),
        ("--env", "CartPole-v1", "--algo", "APPO", "--set", "rollout_fragment_length=32"),
        ("--env", "CartPole-v1", "--algo", "IMPALA", "--set", "rollout_fragment_length=32"),
        ("--env", "Pendulum-v1", "--set", "observation_filter=MeanStdFilter"),
        ("--env", f"{ROOT}/data/lamps.py:Lamps", "--env-config", "told=several"),
        ("Twin", "--env", f"{ROOT}/data/lamps.py:Lamps", "--env-config", "told=several"),
        ("Twin", "--env", f"{NETWORKS}:Shown"),
        ("Twin", "--env", "CartPole-v1", "--framework", "tf2"),
        ("--env", f"{ROOT}/data/hunt.py:Hunt", "--policies", "each", "--env-config", "masks=true"),
        ("Twin", "--env", f"{ROOT}/data/hunt.py:Hunt", "--policies", "each", "--env-config", "masks=true"),
        ("--env", f"{ROOT}/data/crowd.py:Crowd"),
    ],
    ids=lambda settings: " ".join(word.rpartition("/")[2] for word in settings if word != "--env"),
)
def test_it_trains_and_acts_as_it_was_saved(shell, settings):
    name, *settings = settings if settings[0] == "Twin" else ("Plain", *settings)
    plays = ("--evaluate-every", "1", "--evaluate-episodes", "5")
    given = (*HERE[:-2], *plays) if "--algo" in settings else (*HERE, *plays)
    done = shell.train("--model", f"{NETWORKS}:{name}", *settings, *given)
    assert done.returncode == 0, done.stderr
    assert ("sampled in NumPy" if name == "Twin" else "sampled by RLlib, because ") in done.stdout
    [run] = shell.runs
    found = shell("evaluate", run, "--last", "--json", "--episodes", "5")
    assert found.returncode == 0, found.stderr
    # The checkpoint has every weight in its place.
    told = json.loads((run / "result.json").read_text().splitlines()[-1])["evaluation/episode_return_mean"]
    assert json.loads(found.stdout)["return_mean"] == pytest.approx(told, abs=1e-3)


def test_recorded_episodes_are_imitated(shell):
    recorded.write(shell.folder / "data")
    few = ("--set", "min_sample_timesteps_per_iteration=5120", "--evaluate-episodes", "2", "--stop-iters", "1")
    for algo in ("BC", "MARWIL"):
        own = ("--env", "CartPole-v1", "--algo", algo, "--input", "data", "--model", f"{NETWORKS}:Plain")
        done = shell.train(*own, *few, "--local-mode")
        assert done.returncode == 0, done.stderr


def test_check_has_the_network_act(shell):
    right = shell("check", f"{NETWORKS}:Shown", "--model", f"{NETWORKS}:Plain")
    assert right.returncode == 0, right.stdout
    assert f"ok       the network {NETWORKS}:Plain acts in it." in right.stdout
    wrong = shell("check", f"{NETWORKS}:Shown", "--model", f"{NETWORKS}:Few")
    assert wrong.returncode == 1
    assert re.search(r"^error +--model .*:Few: its outputs have the shape \[n, 1\]; its call", wrong.stdout, re.M)


@pytest.mark.parametrize("framework", ["tf", "tf2"])
def test_what_is_wrong_is_told_in_one_sentence(shell, framework):
    told = shell("python", Path(__file__).with_name("wrong_networks.py"), NETWORKS, framework)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout.splitlines()[-1])
    right = "its call must give (outputs [n, 2], values [n])"
    expected = {
        "Plain": None,
        "Few": f"its outputs have the shape [n, 1]; {right}",
        "Many": f"its values have the shape [n, 2]; {right}",
        "Doubled": f"its outputs are of float64, and must be of float32; {right}",
        "NoModule": "it is no tf.Module that can be called; derive it from tf.keras.Model, or from tf.Module",
        "Fails": "it cannot be made: ValueError: no such layer",
        "FailsAtCall": "its call raised ValueError: no such input",
        "Fixed": "it has no variable that could be trained",
    }
    for name, sentence in expected.items():
        assert found[name] == (sentence and f"--model {NETWORKS}:{name}: {sentence}")
    assert re.fullmatch(rf"--model .*:Alone: its call gave one \w+; {re.escape(right)}", found["Alone"])
    assert "it takes (observation_space, num_outputs, width=16)" in found["Plain wide=3"]
    assert "has no class None; it has Shown, Plain, Twin, " in found["None"]
    if framework == "tf":
        assert "FailsLater: its call raised " in found["FailsLater"]


def test_a_network_in_numpy_that_differs_is_refused(shell):
    wrong = {
        "Slips": "in_numpy and its call give different values by the same weights, ",
        "Short": "in_numpy gives outputs of shape (16, 1), and must give (16, 2), as its call does",
        "Falls": "in_numpy raised ValueError: no such weights",
    }
    for name, said in wrong.items():
        done = shell.train("--env", f"{NETWORKS}:Shown", "--model", f"{NETWORKS}:{name}", *HERE)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: --model {NETWORKS}:{name}: {said}") and done.stderr.count("\n") == 1


def test_updates_in_one_call_are_rllibs_and_weights_keep_their_order(shell):
    done = shell("python", Path(__file__).with_name("same_own.py"), NETWORKS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["weights after updates"] < 1e-5 and found["moved"] > 0.005
    assert found["outputs of another graph"] < 1e-5

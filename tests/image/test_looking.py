"""What a user looks at after training: evaluate, runs, compare, report."""

import json
import re
import shutil
import statistics
import subprocess
from pathlib import Path

import pytest

from tests.commands import Shell
from tests.debian import cached_root
from tests.image.test_train import summary, table

SMALL = ("--set", "train_batch_size=400", "--set", "minibatch_size=100", "--set", "num_epochs=2", "--local-mode")
BROWSER = ["chromium-headless-shell", "fonts-dejavu-core"]


@pytest.fixture(scope="module")
def trained(apptainer, rl_sif, forks_socket, tmp_path_factory):
    """Runs of three kinds, made once: two seeds of PPO, another learning rate, and one of DQN."""
    folder = tmp_path_factory.mktemp("trained") / "a folder"
    folder.mkdir()
    shell = Shell(apptainer, rl_sif, folder, forks_socket)
    cartpole = ("--env", "CartPole-v1", "--stop-iters", "3", "--checkpoint-every", "1", *SMALL)
    for extra in (("--seed", "1"), ("--seed", "2"), ("--set", "lr=0.001")):
        assert shell.train(*cartpole, *extra).returncode == 0
    dqn = ("--env", "CartPole-v1", "--algo", "DQN", "--stop-iters", "1", "--local-mode")
    assert shell.train(*dqn).returncode == 0
    shell.ppo = [run for run in shell.runs if run.name.startswith("PPO")]
    [shell.dqn] = [run for run in shell.runs if run.name.startswith("DQN")]
    yield shell
    shutil.rmtree(folder, ignore_errors=True)


def test_evaluate_gives_statistics_that_repeat(trained):
    told = [json.loads(trained("evaluate", trained.ppo[0], "--json").stdout) for _ in range(2)]
    assert told[0] == told[1]
    one = told[0]
    assert one["episodes"] == 20 == len(one["returns"]) and one["deterministic"] is True
    assert one["return_mean"] == statistics.fmean(one["returns"])
    assert one["return_min"] == min(one["returns"]) and one["return_max"] == max(one["returns"])
    # In CartPole every step gives 1.
    assert one["lengths"] == [int(r) for r in one["returns"]]


def test_evaluate_takes_the_checkpoint_that_is_meant(trained):
    run = trained.ppo[0]
    summary = json.loads((run / "summary.json").read_text())

    def chosen(*arguments):
        return json.loads(trained("evaluate", *arguments, "--episodes", "1", "--json").stdout)["checkpoint"]

    assert chosen(run) == chosen(run, "--best") == summary["best_checkpoint"]
    assert chosen(run, "--last") == summary["checkpoint"]
    second = str(run / "checkpoints/checkpoint_000002")
    assert chosen(run, "--checkpoint", "2") == second == chosen(second)


def test_evaluate_draws_actions_by_the_seed(trained):
    def returns(*arguments):
        arguments = ("evaluate", trained.ppo[0], "--stochastic", "--episodes", "5", "--json", *arguments)
        return json.loads(trained(*arguments).stdout)["returns"]

    assert returns("--seed", "3") == returns("--seed", "3") != returns("--seed", "4")


def test_a_run_evaluates_as_evaluate_does(shell):
    evaluated = ("--evaluate-every", "2", "--evaluate-episodes", "3", "--set", "observation_filter=MeanStdFilter")
    done = shell.train("--env", "CartPole-v1", "--stop-iters", "4", *evaluated, *SMALL)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.count("evaluation: return") == 2, done.stdout
    [run] = shell.runs
    rows = table(run)
    assert [row["evaluation/training_iteration"] for row in rows] == ["", "2", "", "4"]
    means = {}
    for row in (rows[1], rows[3]):
        iteration = row["evaluation/training_iteration"]
        told = json.loads(shell("evaluate", run, "--checkpoint", iteration, "--episodes", "3", "--json").stdout)
        for column, value in (
            ("episode_return_mean", told["return_mean"]),
            ("episode_return_min", told["return_min"]),
            ("episode_return_max", told["return_max"]),
            ("episode_len_mean", statistics.fmean(told["lengths"])),
            ("episodes", 3),
        ):
            assert float(row[f"evaluation/{column}"]) == value
        means[int(iteration)] = told["return_mean"]
    assert summary(run)["best_checkpoint"].endswith(f"checkpoint_{max(means, key=lambda i: (means[i], i)):06d}")
    met = shell.train("--resume", run, "--evaluate-every", "2", "--stop-reward", "1", "--local-mode")
    assert met.returncode == 2 and "already at its end: mean return" in met.stderr
    assert "over 3 episodes of evaluation reached 1" in met.stderr


def test_evaluate_of_dqn_in_words(trained):
    done = trained("evaluate", trained.dqn, "--episodes", "3")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("DQN on CartPole-v1, checkpoint ")
    assert re.fullmatch(r"return  mean [\d.]+  std [\d.]+  min [\d.]+  max [\d.]+", lines[2])
    assert lines[3].endswith("over 3 episodes, seeds 0 to 2")


def test_evaluate_of_a_policy_with_a_memory_and_a_filter(shell):
    """Those of test_what_is_listed_trains_saves_restores_and_continues are evaluated there."""
    options = ("--set", "observation_filter=MeanStdFilter", "--set", "model.use_lstm=true")
    options += ("--set", "model.lstm_use_prev_action=true", "--set", "model.lstm_use_prev_reward=true")
    done = shell.train("--env", "FrozenLake-v1", *options, "--stop-iters", "1", "--local-mode")
    assert done.returncode == 0, done.stderr
    done = shell("evaluate", shell.runs[0], "--episodes", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["returns"]) == 2


@pytest.mark.parametrize("framework", ["tf", "tf2"])
def test_a_memory_sees_the_same_steps_as_in_training(shell, framework):
    done = shell("python", Path(__file__).with_name("same_past.py"), framework)
    differences = dict(re.findall(r"^(lstm|attention): (\S+)$", done.stdout, re.M))
    assert len(differences) == 2 and all(float(each) < 1e-5 for each in differences.values()), done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "RUN", "--video", "a.avi"), "--video is 'a.avi'; its name must end with .mp4 or .gif"),
        (("evaluate", "RUN", "--video", "none/a.mp4"), "there is no folder"),
        (("evaluate", "RUN", "--checkpoint", "9"), "has no checkpoint of iteration 9; it has those of "),
        (("evaluate", "RUN", "--best", "--last"), "give one of them"),
        (("evaluate", "RUN", "--episodes", "0"), "--episodes is 0; it must be at least 1"),
        (("evaluate", "none"), "is neither a run's folder nor a checkpoint"),
        (("compare", "none"), "is not there; `runs` lists those of ~/ray_results"),
        (("report", "results"), "is not a run's folder"),
        (("runs", "none"), "there is no results folder"),
        (("compare", "RUN", "DQN", "--column", "info/learner/default_policy/learner_stats/kl"), "has no values of"),
        (("compare", "RUN", "--out", "none/a"), "cannot be written: No such file"),
    ],
)
def test_bad_input(trained, arguments, said):
    folders = {"RUN": trained.ppo[0], "DQN": trained.dqn}
    before = sorted(trained.folder.iterdir())
    done = trained(*(folders.get(a, a) for a in arguments))
    assert done.returncode == 2 and said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(trained.folder.iterdir()) == before


def test_a_video_of_what_draws_nothing(shell):
    (shell.folder / "mute.py").write_text(
        "import gymnasium\n"
        "class Mute(gymnasium.Env):\n"
        "    observation_space = action_space = gymnasium.spaces.Discrete(2)\n"
        "    def reset(self, *, seed=None, options=None): return 0, {}\n"
        "    def step(self, action): return 0, 1.0, True, False, {}\n"
    )
    assert shell.train("--env", "mute.py:Mute", "--stop-iters", "1", *SMALL).returncode == 0
    done = shell("evaluate", shell.runs[0], "--video", "a.mp4")
    assert done.returncode == 2 and "renders no images, it has no render modes" in done.stderr
    assert not list(shell.folder.glob("*.mp4"))


def test_runs_lists_every_run(trained):
    done = trained("runs", "results")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0].split()[:3] == ["algo", "env", "return"]
    assert [line.split()[0] for line in lines[1:]] == ["PPO", "PPO", "PPO", "DQN"]
    assert all(" finished " in line for line in lines[1:])
    listed = json.loads(trained("runs", "results", "--json").stdout)
    assert [each["run_dir"] for each in listed] == [*map(str, trained.ppo), str(trained.dqn)]


def test_compare_puts_seeds_together_and_draws(trained):
    done = trained("compare", *trained.ppo, "--out", "curves", "--text")
    assert done.returncode == 0 and done.stderr == ""
    table = done.stdout.split("\n\n")[0].splitlines()
    assert [line.split()[:2] for line in table[1:3]] == [["lr=0.0006", "2"], ["lr=0.001", "1"]]
    assert "env steps" in done.stdout and "seconds of training" in done.stdout
    drawn = (trained.folder / "curves.svg").read_text()
    assert "lr=0.0006 (2 runs)" in drawn and "mean return of the last 100 episodes" in drawn
    assert (trained.folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    (trained.folder / "curves.svg").unlink()
    (trained.folder / "curves.png").unlink()


def test_the_report_opens_in_a_browser_without_a_network(trained):
    done = trained("report", trained.ppo[0], "--out", "report.html")
    assert done.returncode == 0, done.stderr
    page = trained.folder / "report.html"
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:|//)""", page.read_text())
    dom = browse(trained, page, "--dump-dom")
    page.unlink()
    for part in ("PPO on CartPole-v1", "finished", "Timeline", "Where the time goes", "train_batch_size", "gymnasium"):
        assert part in dom
    assert dom.count("<svg") == 4 and "mean return of the last 100 episodes" in dom


def browse(container, page, *options):
    """What a real browser makes of a page; it has neither a network nor a home."""
    root = cached_root("browser", BROWSER)
    command = [container.apptainer, "exec", "--containall", "--net", "--network", "none", "--bind", container.folder]
    flags = ["--no-sandbox", "--disable-gpu", "--window-size=1100,2400", "--user-data-dir=/tmp/profile"]
    done = subprocess.run(
        [*command, root, "chromium-headless-shell", *flags, *options, page.as_uri()],
        cwd=container.folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

"""The loop of a run beside a learner that does what a test says: signals, losses, evaluations, tasks, and its files."""

import contextlib
import io
import json
import math
import os
import signal

import pytest

from rlsif.cluster import tasks
from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.finite import SpoiltWeights, check_weights
from rlsif.learning.spec import Evaluation, Layout, RunSpec
from rlsif.training import checkpoints, record, run
from rlsif.training.display import PlainLines
from rlsif.training.learner_host import InProcess
from rlsif.training.options import TrainOptions
from rlsif.training.plan import Plan
from rlsif.training.stopping import Stop

LOSS = "info/learner/default_policy/learner_stats/total_loss"


class Learner:
    """Makes an iteration of 100 env steps whenever it is asked; a test says what happens before one ends."""

    def __init__(self):
        self.calls, self.iteration = [], 0
        # What the returns of an iteration are, and what happens in a build, a step or a save.
        self.returns, self.during = {}, {}
        self.evaluated, self.loss = {}, {}
        self.weights = {"w": [0.5]}

    def _does(self, what):
        self.calls.append(what)
        self.during.get(what, lambda: None)()

    def build(self, spec, layout, env):
        self._does("build")
        return {"train_batch_size": 100}

    def notes(self):
        return []

    def restore(self, folder):
        self.iteration = int(folder[-6:])
        self._does("restore")
        return ""

    def make_up(self, iteration, folder):
        self._does(("make up", iteration, folder[-6:]))
        return True

    def step(self, evaluate=None):
        self.iteration += 1
        self._does(("step", self.iteration, evaluate))
        return {
            "returns": self.returns.get(self.iteration, [1.0]),
            "lengths": [10],
            "metrics": [{}],
            "num_env_steps_sampled_lifetime": 100 * self.iteration,
            "num_healthy_workers": 0,
            "evaluation": self.evaluated.get(self.iteration),
            "statistics": {LOSS: self.loss.get(self.iteration, 0.5)},
        }

    def evaluation(self):
        return None

    def save(self, folder):
        check_weights(self.weights)
        return True

    def stop(self):
        self._does("stop")


class Runs:
    """Runs in one folder, one after the other, as `train` and `train --resume` have them."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.shared = folder, {}
        self.output = io.StringIO()
        self._monkeypatch = monkeypatch
        self.while_ray_starts = lambda: None
        self.spec = RunSpec("PPO", "tf", EnvRef("CartPole-v1"))
        monkeypatch.setattr(record, "_versions", dict)
        monkeypatch.setattr(record, "installed_packages", dict)
        monkeypatch.setattr(tasks.private_api, "put_shared", lambda key, value, **_: self.shared.update({key: value}))

    def __call__(self, learner, iterations=9, evaluate_every=None, callbacks=None, **options):
        @contextlib.contextmanager
        def host(resources, layout):
            self.while_ray_starts()
            here = InProcess()
            here._actor = learner
            yield here
            here.stop()

        self._monkeypatch.setattr(run, "host", host)
        asked = TrainOptions(callbacks=callbacks, evaluate_every=evaluate_every, **options)
        plan = self._plan(iterations, evaluate_every)
        return run.Run(plan, asked, self.folder, PlainLines(self.output), None, None).execute()

    def _plan(self, iterations, every):
        last = ([None, *checkpoints.complete(self.folder / "checkpoints")])[-1]
        layout = Layout(0, 1, 0.0, 1, local_mode=True, evaluation=every and Evaluation(every, 1, beside=True))
        progress = checkpoints.read(last) if last else None
        return Plan(self.spec, find(self.spec.env), layout, None, Stop(iters=iterations), self.folder, last, progress)

    @property
    def summary(self):
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def checkpoints(self):
        return {int(p.name[-6:]): checkpoints.read(p) for p in checkpoints.complete(self.folder / "checkpoints")}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    return Runs(tmp_path, monkeypatch)


def rays_own(*_):
    """What Ray has in the place of a handler, which is to end the process."""
    raise AssertionError("the signal reached Ray's own handler")


def send(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.fault(
    "SIGINT or SIGTERM reaches a run while Ray starts, or while the algorithm is built",
    promise="the run ends before its first iteration, with summary.json and the code of the signal",
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["Ray starts", "build"])
def test_a_signal_before_the_first_iteration_ends_the_run(runs, number, when):
    learner = Learner()
    before = signal.getsignal(signal.SIGTERM)

    def ray_starts():
        send(number)()
        # As Ray does.
        signal.signal(signal.SIGTERM, rays_own)

    if when == "build":
        learner.during["build"] = send(number)
    else:
        runs.while_ray_starts = ray_starts
    assert runs(learner) == 128 + number
    assert learner.calls == (["build", "stop"] if when == "build" else ["stop"])
    assert runs.summary["state"] == "interrupted" and runs.summary["iterations"] == 0
    assert runs.summary["stop_reason"] == f"interrupted by {signal.Signals(number).name} before the first iteration"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_in_an_iteration_is_noted_after_ray_has_taken_its_place(runs):
    learner = Learner()
    runs.while_ray_starts = lambda: signal.signal(signal.SIGTERM, rays_own)
    learner.during["step", 2, None] = send(signal.SIGTERM)
    assert runs(learner) == 143
    assert list(runs.checkpoints) == [2] and runs.summary["iterations"] == 2


@pytest.mark.fault(
    "a loss or a weight is nan or infinite after an update",
    promise="the run ends with a sentence; its last checkpoint is from before that update",
)
@pytest.mark.parametrize("what", ["loss", "weights"])
def test_no_checkpoint_has_spoilt_weights(runs, what):
    learner = Learner()
    if what == "loss":
        learner.loss[3] = math.nan
    else:
        learner.during["step", 3, None] = lambda: learner.weights.update(w=[math.inf])
    with pytest.raises(SpoiltWeights, match="the last checkpoint is from before it"):
        runs(learner, checkpoint_every=1)
    assert list(runs.checkpoints) == [1, 2]
    assert runs.summary["state"] == "failed" and runs.summary["checkpoint"].endswith("checkpoint_000002")
    assert not list((runs.folder / "checkpoints").glob(".incomplete*"))


def evaluation(iteration, mean):
    return {"iteration": iteration, "returns": [mean], "lengths": [1], "seconds": 1.0}


@pytest.fixture
def interrupted(runs):
    """A run of three iterations whose evaluation of the second had not ended; the third has the highest return."""
    learner = Learner()
    learner.returns = {3: [50.0]}
    learner.during["step", 3, None] = send(signal.SIGTERM)
    assert runs(learner, evaluate_every=2) == 143
    assert ("step", 2, 2) in learner.calls and list(runs.checkpoints) == [2, 3]
    return runs


@pytest.mark.fault(
    "a run is interrupted while an evaluation is under way",
    promise="the evaluation is played when the run is resumed, by the policy of its iteration",
)
def test_an_evaluation_that_was_under_way_is_made_up_for(interrupted):
    learner = Learner()
    learner.evaluated = {4: evaluation(2, 7.0)}
    assert interrupted(learner, iterations=5, evaluate_every=10) == 0
    # Before the learner has the last checkpoint.
    assert learner.calls[:3] == ["build", ("make up", 2, "000002"), "restore"]
    assert "the evaluation of iteration 2, which was interrupted, is played now" in interrupted.output.getvalue()
    made_up = interrupted.checkpoints[2]
    assert made_up.evaluation_return_mean == 7.0 and not made_up.evaluation_is_due
    assert interrupted.summary["best_checkpoint"].endswith("checkpoint_000002")
    rows = [json.loads(line) for line in (interrupted.folder / "result.json").read_text().splitlines()]
    assert [row.get("evaluation/training_iteration") for row in rows] == [None, None, None, 2, None]
    again = Learner()
    assert interrupted(again, iterations=6, evaluate_every=10) == 0
    assert again.calls[:2] == ["build", "restore"]


def test_a_resumed_run_that_learns_from_recorded_episodes_knows_its_last_evaluation(runs, tmp_path):
    (tmp_path / "played.json").write_text("")
    runs.spec = RunSpec("BC", "tf", EnvRef("CartPole-v1"), input=str(tmp_path / "played.json"))
    learner = Learner()
    learner.evaluated = {2: evaluation(2, 7.0)}
    assert runs(learner, iterations=2, evaluate_every=2) == 0
    # The next would be that of the fourth iteration.
    assert runs(Learner(), iterations=3, evaluate_every=2) == 0
    assert "done: mean return 7.0 of the last evaluation" in runs.output.getvalue().splitlines()[-1]
    assert runs.summary["episode_return_mean"] == 7.0
    # One that has ended after the last row is known by its checkpoint alone.
    learner = Learner()
    learner.evaluation = lambda: evaluation(4, 9.0)
    assert runs(learner, iterations=4, evaluate_every=2) == 0
    assert runs(Learner(), iterations=5, evaluate_every=2) == 0
    assert "done: mean return 9.0 of the last evaluation" in runs.output.getvalue().splitlines()[-1]


def test_an_evaluation_that_was_interrupted_again_stays_due(interrupted):
    learner = Learner()
    learner.during["step", 4, None] = send(signal.SIGTERM)
    assert interrupted(learner, evaluate_every=10, keep_checkpoints=1) == 143
    # The third has the highest return.
    assert list(interrupted.checkpoints) == [2, 3, 4] and interrupted.checkpoints[2].evaluation_is_due


@pytest.mark.fault(
    "a run is resumed without evaluations",
    promise="its best checkpoint goes by the returns of its training from then on",
)
def test_an_old_evaluation_does_not_keep_a_checkpoint_the_best(interrupted):
    learner = Learner()
    learner.evaluated = {4: evaluation(2, 7.0)}
    assert interrupted(learner, iterations=4, evaluate_every=10) == 0
    assert interrupted.summary["best_checkpoint"].endswith("checkpoint_000002")
    learner = Learner()
    learner.returns = {6: [90.0]}
    assert interrupted(learner, iterations=6) == 0
    assert "make up" not in str(learner.calls)
    assert interrupted.summary["best_checkpoint"].endswith("checkpoint_000006")


@pytest.mark.fault(
    "a run whose callback has set a task is interrupted",
    promise="the environments have the task from the first step of the resumed run on",
)
def test_a_resumed_run_has_its_task(runs, tmp_path):
    file = tmp_path / "levels_of_a_run.py"
    file.write_text(
        "class Levels:\n"
        "    def on_train_start(self, run):\n        print('task', run.task, file=open('task.txt', 'a'))\n"
        "    def on_iteration(self, run, row):\n        run.set_task({'level': run.iteration, 3: (1,)})\n"
    )
    with contextlib.chdir(tmp_path):
        assert runs(Learner(), iterations=2, callbacks=f"{file}:Levels") == 0
        assert runs.checkpoints[2].task == [{"level": 2, "3": [1]}]
        runs.shared.clear()
        learner, seen = Learner(), []
        learner.during["build"] = lambda: seen.extend(runs.shared.values())
        assert runs(learner, iterations=3, callbacks=f"{file}:Levels") == 0
        # Also where the callback is not given again, and sets none.
        assert seen == [b'{"level": 2, "3": [1]}']
        assert runs(Learner(), iterations=4) == 0
    assert runs.checkpoints[4].task == [{"level": 3, "3": [1]}]
    assert (tmp_path / "task.txt").read_text() == "task None\ntask {'level': 2, '3': [1]}\n"

"""A user's own callbacks: what is refused, and what is told of an exception."""

import re

import pytest

from rlsif.envs.task import set_task
from rlsif.errors import InputError, RlsifError
from rlsif.training.callbacks import CallbackFailed, Callbacks, check

ROW = {"training_iteration": 3, "num_env_steps_sampled_lifetime": 600}
ITERATION = {"returns": [1.0, 2.0], "lengths": [10, 20], "metrics": [{"energy": 5.0}, {}]}


@pytest.fixture
def written(tmp_path):
    def write(*lines):
        file = tmp_path / f"callbacks_{len(list(tmp_path.iterdir()))}_{tmp_path.parent.name}.py"
        file.write_text("\n".join(["class Mine:", *(f"    {line}" for line in lines)]))
        return f"{file}:Mine"

    return write


def test_callbacks_see_rows_episodes_and_may_end_the_run(written, tmp_path):
    name = written(
        "def on_episode_end(self, run, episode):",
        "    self.seen = getattr(self, 'seen', []) + [(episode.total_reward, episode.length, dict(episode.metrics))]",
        "def on_iteration(self, run, row):",
        "    run.stop(f'{run.iteration} {run.env_steps} {len(row)} {self.seen}')",
    )
    callbacks = Callbacks(name, tmp_path)
    callbacks.train_start()
    callbacks.iteration(ROW, ITERATION)
    assert callbacks.run.ends_for == "3 600 2 [(1.0, 10, {'energy': 5.0}), (2.0, 20, {})]"


def test_no_callbacks_do_nothing(tmp_path):
    callbacks = Callbacks(None, tmp_path)
    callbacks.train_start()
    callbacks.iteration(ROW, ITERATION)
    assert callbacks.run.ends_for is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["def on_iteration(self, run, row):", "    row['x']"],
            r"on_iteration raised KeyError: 'x' \(.*, line 3\)",
        ),
        (["def on_iteration(self):", "    pass"], r"on_iteration raised TypeError: .* \(.*\.py, line 2\)"),
        (["def on_iteration(self, run, row):", "    raise SystemExit(3)"], r"SystemExit: 3 \(.*\.py, line 3\)"),
        (["def on_iteration(self, run, row):", "    run.set_task(object())"], r"TypeError: <object.* line 3\)"),
    ],
)
def test_an_exception_is_told_with_its_file_and_line(written, tmp_path, lines, said):
    with pytest.raises(CallbackFailed) as told:
        Callbacks(written(*lines), tmp_path).iteration(ROW, ITERATION)
    assert re.search(said, str(told.value)) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["def on_iteraton(self, run, row): pass"], "nothing calls its method on_iteraton; did you mean on_iteration"),
        (["def other(self): pass"], "has none of the methods on_train_start"),
    ],
)
def test_what_cannot_be_called_is_refused(written, lines, said):
    with pytest.raises(InputError, match=said):
        check(written(*lines))


def test_it_is_made_once_and_a_class_that_cannot_be_is_refused(written, tmp_path):
    iteration = "def on_iteration(self, run, row): pass"
    once = written(f"def __init__(self): open({str(tmp_path / 'made')!r}, 'a').write('.')", iteration)
    check(once)
    Callbacks(once, tmp_path)
    assert (tmp_path / "made").read_text() == "."
    with pytest.raises(InputError, match="cannot be made: TypeError"):
        Callbacks(written("def __init__(self, x): pass", iteration), tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [("Mine", "names no class"), ("/nowhere/mine.py:Mine", "there is no file"), ("json:Mine", "has no class Mine")],
)
def test_a_name_of_no_class_is_refused(name, said):
    with pytest.raises(InputError, match=said):
        check(name)


def test_an_environment_without_tasks_is_told():
    class Env:
        unwrapped = property(lambda self: self)

    with pytest.raises(RlsifError, match="a callback sets the task 3, and Env has no method set_task"):
        set_task(Env(), 3)

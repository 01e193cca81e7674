"""Environments of users: by module, by class, by file, and what is said of those that are wrong."""

import textwrap
from pathlib import Path

import pytest

from rlsif.envs.find import find, locate, make
from rlsif.envs.reference import parse
from rlsif.errors import InputError

ENV = """
import gymnasium
from gymnasium.spaces import Box, Discrete


class Mine(gymnasium.Env):
    max_episode_steps = 7
    observation_space = Box(-1, 1, (2,))
    action_space = Discrete(2)

    def __init__(self, size=1):
        self.size = size

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 1.0, False, False, {}
"""


@pytest.fixture
def file(tmp_path):
    def write(text=ENV, name="mine.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return write


def test_a_class_in_a_file_has_its_limit_and_its_arguments(file):
    name = f"{file()}:Mine"
    found = find(parse(name, {"size": 3}))
    assert found.observation_space.shape == (2,) and found.max_episode_steps == 7
    env = make(parse(name, {"size": 3}))
    assert env.unwrapped.size == 3
    env.reset()
    assert [env.step(0)[3] for _ in range(7)] == [False] * 6 + [True]


def test_a_class_in_a_module_and_its_registered_id(file, monkeypatch):
    file(f"{ENV}\ngymnasium.register('Registered-v3', entry_point=Mine, max_episode_steps=5)", "by_module.py")
    monkeypatch.syspath_prepend(file().parent)
    for name in ("by_module:Mine", "by_module:Registered-v3"):
        assert find(parse(name)).max_episode_steps == 5


@pytest.mark.fault(
    "an environment reads its data by a relative path, and the command is typed elsewhere",
    promise="it is made in the folder in which the run was started",
)
def test_data_by_a_relative_path_is_found_from_anywhere(file, monkeypatch, tmp_path):
    reads = ENV.replace("self.size = size", "self.size = int(open('size.txt').read())")
    path, started, elsewhere = file(reads), tmp_path / "started here", tmp_path / "elsewhere"
    for folder, size in ((started, "5"), (elsewhere, "9")):
        folder.mkdir()
        (folder / "size.txt").write_text(size)
    ref = parse(f"{path}:Mine", {}, started)
    monkeypatch.chdir(elsewhere)
    find(ref)
    assert make(ref).unwrapped.size == 5 and Path.cwd() == elsewhere
    # The folder of a run that came from another machine.
    assert make(parse(f"{path}:Mine", {}, tmp_path / "gone")).unwrapped.size == 9


def test_a_path_is_made_absolute_and_a_name_short(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert parse("envs/mine.py:Mine").name == f"{tmp_path}/envs/mine.py:Mine"
    assert parse("CartPole-v1").name == "CartPole-v1" and parse("package.mine:Mine").name == "package.mine:Mine"
    assert parse(f"{tmp_path}/envs/mine.py:Mine").short == "Mine" and parse("CartPole-v1").short == "CartPole-v1"


RESET = "return self.observation_space.sample(), {}"
STEP = "return self.observation_space.sample(), 1.0, False, False, {}"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (RESET, "return self.observation_space.sample()", "its reset returned one ndarray; Gymnasium's reset returns"),
        (STEP, "return self.observation_space.sample(), 1.0, False, {}", "its step returned 4 values; "),
        ("*, seed=None, options=None", "", "its reset takes no seed; Gymnasium's is reset(self, *, seed=None"),
        ("    action_space = Discrete(2)\n", "", "has no action_space; set it in __init__"),
        ("class Mine(gymnasium.Env)", "class Mine", "is not a class derived from gymnasium.Env"),
        ("class Mine", "class Other", "has no class Mine, and registers no such id; it has Other"),
        ("import gymnasium", "import gymnasiun", "No module named 'gymnasiun'"),
        ("max_episode_steps = 7", "max_episode_steps = seven", "NameError: name 'seven' is not defined"),
        ("size=1", "", "cannot be made with {'size': 3}"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(file, before, after, said):
    assert before in ENV
    with pytest.raises(InputError, match="(?s)^environment .*") as told:
        find(parse(f"{file(ENV.replace(before, after, 1))}:Mine", {"size": 3}))
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no file .*/none.py; an image sees bound folders alone"):
        find(parse(f"{tmp_path}/none.py:Mine"))


def test_a_class_keeps_its_way_to_many_copies_at_once(file):
    import gymnasium

    many = "    vector_entry_point = staticmethod(lambda **_: None)\n    action_space"
    vectors = ENV.replace("    action_space", many)
    path = file(vectors.replace("Mine", "Many"), "many.py")
    found = locate(parse(f"{path}:Many"))
    assert gymnasium.registry[found].vector_entry_point is not None


def test_a_file_that_ends_the_process_is_told(file):
    path = file("raise SystemExit('usage: simulate')", "exits_when_imported.py")
    with pytest.raises(InputError, match="exits_when_imported.py cannot be imported: SystemExit: usage: simulate"):
        find(parse(f"{path}:Mine"))

"""`--wrap`: wrappers by name, Gymnasium's and a user's own."""

import json
import re

import pytest

from rlsif.envs import reference
from rlsif.envs.find import find, make
from rlsif.envs.reference import EnvRef
from rlsif.errors import InputError
from rlsif.learning.spec import RunSpec, from_json
from rlsif.training.saved import moved
from rlsif.values import wrapper_arguments

OWN = """
import gymnasium


class Times(gymnasium.RewardWrapper):
    def __init__(self, env, by=2.0):
        super().__init__(env)
        self.by = by

    def reward(self, reward):
        return reward * self.by


class Plus(gymnasium.RewardWrapper):
    def reward(self, reward):
        return reward + 1


class Text(gymnasium.ObservationWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.observation_space = "anything"


class Base(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 1.0, False, False, {}


def nothing(env):
    return None
"""


def parse(name, wrappers):
    return reference.parse(name, wrappers=wrapper_arguments(wrappers))


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own_wrappers.py").write_text(OWN)
    return f"{tmp_path}/own_wrappers.py"


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("FlattenObservation", "FlattenObservation", {}),
        ("ResizeObservation:shape=[84,84],x=a", "ResizeObservation", {"shape": (84, 84), "x": "a"}),
        ("package.module:Mine", "package.module:Mine", {}),
        ("/a/mine.py:Mine:k=2,name=b:c", "/a/mine.py:Mine", {"k": 2, "name": "b:c"}),
    ],
)
def test_a_wrapper_has_a_name_and_arguments(text, name, arguments):
    [wrapper] = parse("CartPole-v1", [text]).wrappers
    assert (wrapper.name, wrapper.arguments) == (name, arguments)
    assert parse("CartPole-v1", [str(wrapper)]).wrappers == (wrapper,)


@pytest.mark.parametrize(("order", "reward"), [(("Plus", "Times"), 4.0), (("Times", "Plus"), 3.0)])
def test_wrappers_are_made_in_order(own, order, reward):
    env = make(parse(f"{own}:Base", wrappers=[f"{own}:{name}" for name in order]))
    env.reset()
    assert env.step(0)[1] == reward


def test_a_wrapper_of_gymnasiums_changes_the_space_that_is_trained_in():
    found = find(parse("CartPole-v1", wrappers=["FrameStackObservation:stack_size=3", "FlattenObservation"]))
    assert found.observation_space.shape == (12,)
    assert found.reward_threshold == 475


def test_params_keep_the_wrappers(own):
    env = parse(f"{own}:Base", wrappers=[f"{own}:Times:by=3", "ReshapeObservation:shape=[2,2]"])
    spec = RunSpec("PPO", "tf", env)
    assert from_json(json.loads(json.dumps(spec.as_json()))) == spec


def test_a_run_of_an_older_version_has_none():
    old = {name: value for name, value in RunSpec("PPO", "tf", EnvRef("A")).as_json().items() if name != "wrappers"}
    assert from_json(old).env.wrappers == ()


def test_wrappers_move_with_the_file_of_their_environment(own, tmp_path):
    env = parse(f"{own}:Base", wrappers=[f"{own}:Times", "FlattenObservation"])
    there = moved(RunSpec("PPO", "tf", env), "/elsewhere/new.py:Base", None, tmp_path)
    assert [wrapper.name for wrapper in there.env.wrappers] == ["/elsewhere/new.py:Times", "FlattenObservation"]


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        ("FlatenObservation", "Gymnasium has no wrapper FlatenObservation; did you mean FlattenObservation"),
        ("FrameStackObservation:size=3", r"unexpected keyword argument 'size'; it takes stack_size"),
        ("FrameStackObservation", "it takes stack_size"),
        ("ResizeObservation:shape=[84,84]", "cannot be made: AssertionError; it takes shape"),
        ("NormalizeReward", "running averages, which no checkpoint would keep"),
        ("gymnasium.wrappers:NormalizeObservation", "observation_filter=MeanStdFilter"),
        (
            "DtypeObservation:dtype=float64",
            "the wrapped environment's reset fails: TypeError: 'str' object is not callable",
        ),
        ("no_such_module:Mine", "module 'no_such_module' cannot be imported"),
        ("OWN:Tims", "has no Tims; it has Times, Plus, Text"),
        ("OWN:Base", "Base is no class derived from gymnasium.Wrapper"),
        ("OWN:Text", "its observation_space is 'anything', which is no space"),
        ("OWN:nothing", "gave a NoneType, which is no gymnasium.Env"),
        ("OWN:Times:of=3", "it takes by"),
        ("TimeLimit:max_episode_steps=[", "neither a number, a word nor a list"),
    ],
)
def test_a_wrong_wrapper_is_told_in_one_sentence(own, wrap, said):
    with pytest.raises(InputError) as told:
        find(parse("CartPole-v1", wrappers=[wrap.replace("OWN", own)]))
    assert "--wrap" in str(told.value)
    assert "\n" not in str(told.value)
    assert re.search(said, str(told.value))

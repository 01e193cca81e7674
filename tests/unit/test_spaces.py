"""Random spaces: what a policy sees has one shape, and every action that it chooses is in the environment's space."""

import math

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsif.envs.adapted import Adapted
from rlsif.envs.findings import look_at_observation
from rlsif.envs.spaces import of_gymnasium, plain
from rlsif.envs.vector import OneByOne, WrongValue
from rlsif.learning import catalogue
from rlsif.policies import actions, encoder
from rlsif.policies.actions import ActionAdapter, joined, policy_space
from rlsif.policies.encoder import MisfitError, ObservationEncoder
from rlsif.policies.spaces import Box, Composite, MultiDiscrete, agree, described
from rlsif.sampling.samplers import ActorCriticSampler

SHAPES = st.lists(st.integers(1, 3), max_size=2).map(tuple)
FLOATS = st.sampled_from([np.float16, np.float32, np.float64])
INTEGERS = st.sampled_from([np.int8, np.uint8, np.int32, np.int64])
ENDS = st.sampled_from(["both", "low", "high", "none"])


def float_box(shape, dtype, ends, low, width):
    below = low if ends in ("both", "low") else -np.inf
    above = low + width if ends in ("both", "high") else np.inf
    return spaces.Box(np.full(shape, below), np.full(shape, above), shape, dtype)


FLOAT_BOXES = st.builds(float_box, SHAPES, FLOATS, ENDS, st.integers(-30, 30), st.integers(1, 40))
INTEGER_BOXES = st.builds(
    lambda shape, dtype, low, width: spaces.Box(low, low + width, shape, dtype),
    SHAPES, INTEGERS, st.integers(0, 9), st.integers(1, 9),
)  # fmt: skip
CHOICES = st.one_of(
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-5, 5)),
    st.lists(st.integers(1, 5), min_size=1, max_size=4).map(lambda n: spaces.MultiDiscrete(n)),
    st.just(spaces.MultiDiscrete(np.array([[2, 3], [4, 1]]), start=np.array([[1, 0], [-3, 7]]))),
    st.sampled_from([1, 4, (2, 3)]).map(spaces.MultiBinary),
    INTEGER_BOXES,
)


def nested(leaves):
    parts = st.lists(leaves, min_size=1, max_size=3)
    return st.one_of(
        leaves,
        parts.map(spaces.Tuple),
        parts.map(lambda ps: spaces.Dict({f"part {number}": part for number, part in enumerate(ps)})),
        parts.map(lambda ps: spaces.Dict({"outer": spaces.Tuple(ps), "z": ps[0]})),
    )


ACTIONS = st.one_of(nested(CHOICES), nested(FLOAT_BOXES), nested(st.one_of(CHOICES, FLOAT_BOXES)))
OBSERVATIONS = nested(st.one_of(CHOICES, FLOAT_BOXES))


def parts_of(nested):
    """The arrays of nested actions."""
    if isinstance(nested, (dict, tuple)):
        values = nested.values() if isinstance(nested, dict) else nested
        return [part for value in values for part in parts_of(value)]
    return [nested]


@settings(max_examples=300, deadline=None)
@given(ACTIONS, st.integers(0, 1000), st.booleans())
def test_every_action_that_reaches_the_environment_is_in_its_space(space, seed, normalize):
    assert actions.unsupported(plain(space)) is None
    chosen_from = of_gymnasium(policy_space(plain(space), normalize))
    adapter = ActionAdapter(plain(space), normalize, clip=True)
    random = np.random.default_rng(seed)
    if isinstance(chosen_from, spaces.Box):
        # Gaussians leave every bound.
        chosen = random.normal(scale=50, size=(4, *chosen_from.shape)).astype(np.float32)
    else:
        chosen_from.seed(seed)
        chosen = np.array([joined(chosen_from.sample()) for _ in range(4)])
    for action in adapter.each(chosen):
        assert space.contains(action), (space, action)
    together = adapter.batch(chosen)
    # Of actions as others recorded them is known what was chosen.
    again = adapter.batch(adapter.chosen(together))
    for one, other in zip(parts_of(together), parts_of(again), strict=True):
        np.testing.assert_allclose(np.asarray(one, float), np.asarray(other, float), rtol=1e-3, atol=1e-3)
    if not isinstance(space, (spaces.Dict, spaces.Tuple)):
        assert len(together) == 4 and np.asarray(together).shape[1:] == tuple(space.shape)


class Asks(gymnasium.Env):
    """Looks at every action."""

    observation_space = spaces.Box(-1, 1, (2,))

    def __init__(self, action_space):
        self.action_space, self.asked = action_space, 0

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action), (self.action_space, action)
        self.asked += 1
        return np.zeros(2, np.float32), 0.0, self.asked % 3 == 0, False, {}


class Wild:
    """Stands for every network: outputs of any size, far from those of a trained one."""

    def __init__(self, outputs, random, with_values):
        self._outputs, self._random, self._with_values = outputs, random, with_values

    def forward(self, seen):
        given = self._random.normal(scale=20, size=(len(seen), self._outputs)).astype(np.float32)
        return (given, self.values(seen)) if self._with_values else given

    def values(self, seen):
        return np.zeros(len(seen), np.float32)


def outputs(space):
    """How many a network has for a policy's actions."""
    if isinstance(space, Composite):
        return sum(map(outputs, space.parts))
    if isinstance(space, Box):
        return 2 * math.prod(space.shape)
    return int(space.nvec.sum()) if isinstance(space, MultiDiscrete) else space.n


CONFIG = {
    "model": {"fcnet_hiddens": [], "fcnet_activation": "tanh", "vf_share_layers": True}, "policy_model_config": {},
    "hiddens": [], "dueling": False, "exploration_config": {"type": "EpsilonGreedy"}, "gamma": 0.9, "lambda": 0.9,
    "n_step": 1,
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.integers(0, 1000), st.booleans())
def test_no_algorithm_sends_an_action_that_is_not_in_the_space_with_either_sampler(space, seed, normalize):
    able = catalogue.able_to_act(plain(space))
    assert able[:1] == ["PPO"]
    for name in able:
        # SAC's policy chooses between -1 and 1.
        adapter = ActionAdapter(plain(space), normalize or name == "SAC", clip=True)
        chosen_from = policy_space(plain(space), normalize or name == "SAC")
        encoder_of_two = ObservationEncoder(plain(Asks.observation_space))
        copies = OneByOne([Asks(space), Asks(space)], [1, 2], encoder_of_two, adapter)
        random = np.random.default_rng(seed)
        kind = catalogue.catalogue()[name].sampler_class()
        sampler = kind(copies, lambda seen: seen, CONFIG, chosen_from, 4, random)
        sampler._policy = Wild(outputs(chosen_from), random, with_values=issubclass(kind, ActorCriticSampler))
        sampler.sample()
        assert all(env.asked >= 4 for env in copies._envs)
    rllibs = Adapted(Asks(space), normalize, clip=True)
    rllibs.reset()
    rllibs.action_space.seed(seed)
    for _ in range(4):
        rllibs.step(rllibs.action_space.sample())


@settings(max_examples=300, deadline=None)
@given(OBSERVATIONS, st.integers(0, 1000))
def test_observations_are_encoded_alike_one_by_one_and_together(space, seed):
    assert encoder.unsupported(plain(space)) is None
    own = ObservationEncoder(plain(space))
    space.seed(seed)
    seen = [space.sample() for _ in range(3)]
    each = own.empty(3)
    for row, observation in enumerate(seen):
        own.into(each, row, observation, {})
    together = own.batch(stacked(space, seen), 3, {})
    assert each.dtype == np.float32 and each.shape == (3, encoder.width(plain(space)))
    assert np.array_equal(each, together)


def stacked(space, values):
    """As Gymnasium's vector environments give observations."""
    return gymnasium.vector.utils.concatenate(
        space, values, gymnasium.vector.utils.create_empty_array(space, len(values))
    )


def test_both_ends_of_a_box_are_reached_and_the_middle_is_the_middle():
    space = spaces.Box(np.array([-2.0, 10.0]), np.array([4.0, 30.0]), dtype=np.float64)
    adapter = ActionAdapter(plain(space))
    assert [a.tolist() for a in adapter.each(np.array([[-1, -1], [0, 0], [1, 1]]))] == [[-2, 10], [1, 20], [4, 30]]


def test_a_number_with_one_bound_begins_at_it():
    space = spaces.Box(np.array([15.0, 0.0]), np.array([30.0, np.inf]), dtype=np.float32)
    adapter = ActionAdapter(plain(space))
    assert [a.tolist() for a in adapter.each(np.array([[-1, -1], [-9, -9], [1, 4]]))] == [[15, 0], [15, 0], [30, 5]]


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Text(4), "Text, which has no fixed shape"),
        (spaces.Discrete(200_000), "a one-hot vector of 200,000; 20,000 is the most"),
        (spaces.Box(0, 1, (0,)), "with nothing in them"),
        (spaces.Tuple([]), "with nothing in them"),
        (spaces.Dict({"a": spaces.Sequence(spaces.Discrete(2))}), r"observations\['a'\] are Sequence"),
    ],
)
def test_an_observation_that_cannot_be_encoded_is_told(space, said):
    import re

    assert re.search(said, encoder.unsupported(plain(space)))


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Text(4), "actions are Text; Discrete"),
        (spaces.Box(-(2**62), 2**62, (1,), np.int64), "whole numbers need bounds, and 20,000 choices at most"),
        (spaces.Dict({}), "nothing to choose"),
    ],
)
def test_actions_that_no_policy_can_choose_are_told(space, said):
    assert said in actions.unsupported(plain(space))


@pytest.mark.parametrize(
    ("observation", "said"),
    [
        (np.zeros(1, np.float32), r"its shape is \[1\], the space's is \[2\]"),
        (None, r"its shape is \[\]"),
        (np.array(["a", "b"]), "its numbers are <U1"),
    ],
)
def test_an_observation_that_is_not_of_the_space_is_refused(observation, said):
    own = ObservationEncoder(plain(spaces.Box(-1, 1, (2,))))
    with pytest.raises(MisfitError, match=said):
        own.one(observation, {})


@pytest.mark.fault(
    "an image of bytes is given as other numbers, as 0.0 to 1.0, 300 or nan",
    promise="what is no byte is refused by name, and `check` tells of it",
)
@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (0.5, np.float32, "its numbers are float32, from 0.5 to 0.5, and the space's are uint8"),
        (np.nan, np.float32, "its numbers are float32, from nan to nan"),
        (300, np.int64, "its numbers are int64, from 300 to 300"),
        (-1, np.int16, "its numbers are int16, from -1 to -1"),
    ],
)
def test_an_image_is_not_made_of_numbers_that_are_no_bytes(value, dtype, said):
    space = spaces.Box(0, 255, (12, 12, 1), np.uint8)
    own, image = ObservationEncoder(plain(space)), np.full(space.shape, value, dtype)
    with pytest.raises(MisfitError, match=said):
        own.one(image, {})
    with pytest.raises(MisfitError, match=said):
        own.batch(image[None], 1, {})
    wrong = {}
    look_at_observation(image, space, "reset", wrong)
    assert wrong
    whole = np.full(space.shape, 7, dtype)
    assert own.one(whole, {}).dtype == np.uint8 and (own.batch(whole[None], 1, {}) == 7).all()
    look_at_observation(whole, space, "reset", fine := {})
    assert not fine


def test_a_part_of_a_number_is_none_of_several_choices():
    own = ObservationEncoder(plain(spaces.MultiDiscrete([2, 4])))
    with pytest.raises(MisfitError, match=r"is not in MultiDiscrete\[2\] of \[2, 4\]"):
        own.one(np.array([1, 2.5]), {})


def test_descriptions_agree_with_those_of_versions_that_gave_no_counts():
    words = described(plain(spaces.Tuple([spaces.MultiDiscrete([2, 4]), spaces.MultiDiscrete([3], start=[-1])])))
    assert words == "Tuple of MultiDiscrete[2] of [2, 4] and MultiDiscrete[1] of [3] from [-1]"
    assert agree(words, "Tuple of MultiDiscrete[2] and MultiDiscrete[1]") and agree(words, words)
    assert not agree(words, words.replace("[2, 4]", "[4, 2]"))
    assert not agree(words, "Tuple of MultiDiscrete[2] and MultiDiscrete[2]")


def test_descriptions_of_actions_have_the_bounds_by_which_they_are_scaled():
    box = spaces.Box(np.array([-1, 0], np.float32), np.array([1, np.inf], np.float32))
    words = described(plain(spaces.Tuple([box, spaces.Box(-1, 1, (3,)), spaces.Discrete(2)])), bounds=True)
    assert words == (
        "Tuple of Box[2] of float32 from [-1, 0] to [1, inf] and Box[3] of float32 from -1 to 1 and Discrete(2)"
    )
    assert agree(words, "Tuple of Box[2] of float32 and Box[3] of float32 and Discrete(2)")
    assert not agree(words, words.replace("to 1 and", "to 100 and"))
    of_agents = f"2 agents: a with actions {described(plain(spaces.Box(-1, 1, (3,))), bounds=True)}; b with others"
    assert agree(of_agents, "2 agents: a with actions Box[3] of float32; b with others")


def test_an_integer_out_of_its_space_is_refused():
    own = ObservationEncoder(plain(spaces.Dict({"a": spaces.Discrete(3, start=5)})))
    with pytest.raises(MisfitError, match=r"is not in Discrete\(3, start=5\)"):
        own.one({"a": 8}, {})
    with pytest.raises(MisfitError, match="it has no 'a'"):
        own.one({"b": 5}, {})


class Gives(gymnasium.Env):
    """Begins with integers for a Box of floats, then gives what a test says."""

    observation_space, action_space = spaces.Box(-1, 1, (2,)), spaces.Discrete(2, start=3)

    def __init__(self, observation=(0.25, -0.5), reward=1.0, terminated=False, truncated=False):
        self.given = observation, reward, terminated, truncated

    def reset(self, *, seed=None, options=None):
        return [0, 0], {}

    def step(self, action):
        assert action in (3, 4)
        return *self.given, {}


def one_by_one(env):
    """A copy of an environment as the sampler in NumPy steps it."""
    encoder, adapter = ObservationEncoder(plain(env.observation_space)), ActionAdapter(plain(env.action_space))
    return OneByOne([env], [0], encoder, adapter)


def test_integers_that_an_environment_returns_for_a_float_box_stay_the_numbers_that_they_are():
    env = Adapted(Gives(), normalize=True, clip=True)
    first, _ = env.reset()
    then, *_ = env.step(1)
    assert first.dtype == then.dtype == np.float32 and then.tolist() == [0.25, -0.5]
    copies = one_by_one(Gives())
    then = copies.step(np.array([1])).observations
    assert copies.observations.dtype == then.dtype == np.float32 and then.tolist() == [[0.25, -0.5]]


@pytest.mark.fault(
    "an environment that RLlib samples gives nan, infinity, no reward, or an observation of another shape",
    promise="the run ends, and names environment, copy, step and value",
)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"observation": [0, np.nan]}, "nan is given as observation[1], which would spoil every weight"),
        ({"observation": np.array([np.inf, 0], np.float32)}, "inf is given as observation[0], which would spoil"),
        ({"observation": [0.5]}, "the observation is not in the observation space: its shape is [1], the space's is"),
        ({"observation": None}, "the observation is not in the observation space: its shape is []"),
        ({"reward": np.nan}, "nan is given as reward, which would spoil every weight"),
        ({"reward": -np.inf}, "-inf is given as reward, which would spoil every weight"),
        # More than float32 can hold.
        ({"reward": -1e39}, "-1e+39 is given as reward, which would spoil every weight"),
        ({"observation": np.array([1e39, 0])}, "inf is given as observation[0], which would spoil every weight"),
        ({"reward": None}, "the reward is None, which is no number"),
        ({"reward": "much"}, "the reward is 'much', which is no number"),
        ({"reward": "1.0"}, "the reward is '1.0', which is no number"),
        ({"terminated": "no"}, "terminated is 'no', which is neither true nor false"),
        ({"truncated": None}, "truncated is None, which is neither true nor false"),
    ],
)
def test_what_is_not_of_the_spaces_is_told_also_where_rllib_samples(given, said):
    env = Adapted(Gives(**given), normalize=True, clip=True, copy=3)
    env.reset()
    with pytest.raises(WrongValue) as told:
        env.step(1)
    where = "environment Gives: copy 3 of the environment, after 1 steps of an episode: "
    assert str(told.value).startswith(f"{where}{said}")

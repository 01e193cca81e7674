"""Environments of many copies: the same rows whichever way they begin new episodes, and one copy of them alone."""

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, VectorEnv

from rlsif.envs.find import find, make
from rlsif.envs.reference import parse
from rlsif.envs.spaces import plain
from rlsif.envs.vector import Vectorised, WrongValue
from rlsif.envs.vector import make as make_copies
from rlsif.errors import InputError
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter
from rlsif.policies.encoder import ObservationEncoder

CLASSES = '''
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv


class Counts(gymnasium.Env):
    """Observes the steps of its episode; each is one longer than the one before, and ends or is cut in turn."""

    observation_space = Dict({"steps": Box(0, 99, (1,)), "episode": Discrete(9)})
    action_space = Discrete(3)

    def __init__(self, first):
        self.first, self.limit, self.episode = first, first, -1

    def observed(self):
        return {"steps": np.array([self.steps], np.float32), "episode": min(self.episode, 8)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.limit, self.episode = self.first, -1
        self.steps, self.limit, self.episode = 0, self.limit + 1, self.episode + 1
        return self.observed(), {}

    def step(self, action):
        self.steps += 1
        done = self.steps == self.limit
        ends = done and self.limit % 2 == 0
        return self.observed(), float(action), ends, done and not ends, {"metrics": {"steps": self.steps}}


class NextStep(SyncVectorEnv):
    mode, of = AutoresetMode.NEXT_STEP, Counts

    def __init__(self, num_envs, first=2):
        envs = [lambda i=i: self.of(first + i) for i in range(num_envs)]
        super().__init__(envs, autoreset_mode=self.mode)


class SameStep(NextStep):
    mode = AutoresetMode.SAME_STEP


class Disabled(NextStep):
    mode = AutoresetMode.DISABLED


class Masks(Counts):
    """Of its three actions one is legal, another in every step."""

    def reset(self, **how):
        observed, info = super().reset(**how)
        return observed, {**info, "action_mask": np.eye(3, dtype=np.int8)[self.steps % 3]}

    def step(self, action):
        *told, info = super().step(action)
        return *told, {**info, "action_mask": np.eye(3, dtype=np.int8)[self.steps % 3]}


class MasksNextStep(NextStep):
    of = Masks


class MasksSameStep(SameStep):
    of = Masks


class MasksDisabled(Disabled):
    of = Masks


class NoMode(NextStep):
    def __init__(self, num_envs):
        super().__init__(num_envs)
        self.metadata = {}


class NoNumber(SyncVectorEnv):
    def __init__(self):
        super().__init__([lambda: Counts(2)])


gymnasium.register("OnlyCopies-v0", vector_entry_point=SameStep)
'''
MODES = ("NextStep", "SameStep", "Disabled")


@pytest.fixture
def named(tmp_path):
    """The reference of a class by its name, in a file of its own."""
    file = tmp_path / f"vectors_{tmp_path.name}.py"
    file.write_text(CLASSES)
    return lambda name, arguments=(): parse(f"{file}:{name}", dict(arguments), tmp_path)


def played(ref, copies=3, steps=30):
    """What each copy's steps gave: observation, action, reward, next observation, ends, and metrics."""
    env = find(ref)
    encoder, adapter = masks.encoder_of(env.observations), ActionAdapter(env.actions)
    environments = make_copies(ref, copies, [0] * copies, lambda: make(ref), encoder, adapter)
    rows = [[] for _ in range(copies)]
    for number in range(steps):
        before, active = environments.observations.copy(), environments.active.copy()
        step = environments.step(np.full(copies, number % 3))
        for i in np.flatnonzero(active):
            ends = (bool(step.terminated[i]), bool(step.truncated[i]))
            rows[i].append((before[i].tolist(), step.observations[i].tolist(), ends, dict(step.metrics.get(i, {}))))
    environments.close()
    return rows


def test_every_autoreset_mode_gives_the_same_episodes(named):
    next_step, same_step, disabled = (played(named(name)) for name in MODES)
    for one, two, three in zip(next_step, same_step, disabled):
        # Where an episode begins in a step of its own there are fewer rows.
        assert len(one) < len(two) and two == three and one == two[: len(one)]
    # The last observation of an episode is its own, not the first one of the next.
    ended = [(before[-1], after[-1], metrics) for before, after, ends, metrics in same_step[0] if any(ends)]
    assert ended[:3] == [(2.0, 3.0, {"steps": 3}), (3.0, 4.0, {"steps": 4}), (4.0, 5.0, {"steps": 5})]


@pytest.mark.parametrize("name", MODES)
def test_masks_of_infos_are_those_of_what_is_acted_on_in_every_autoreset_mode(named, name):
    for copy in played(named(f"Masks{name}")):
        assert len(copy) > 20
        for before, after, _, _ in copy:
            for *_, steps, first, second, third in (before, after):
                assert [first, second, third] == np.eye(3)[int(steps) % 3].tolist()


class Gives(VectorEnv):
    """Two copies whose second step gives what a test says."""

    observation_space = single_observation_space = spaces.Box(-1, 1, (2,))
    action_space = single_action_space = spaces.Discrete(2)

    def __init__(self, observations=None, rewards=(1.0, 1.0), terminated=(False, False), infos=None):
        self.num_envs, self._observations, self._rewards = 2, observations, rewards
        self._terminated, self._infos = terminated, infos or {}

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 2), np.float32), {}

    def step(self, actions):
        observations = np.zeros((2, 2), np.float32) if self._observations is None else self._observations
        return observations, self._rewards, self._terminated, np.zeros(2, bool), self._infos


@pytest.mark.fault(
    "an environment of many copies gives rewards that are no numbers, or observations of another shape",
    promise="the run ends with a sentence that says what is wrong",
)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rewards": ["much", 1.0]}, r"its rewards are \['much', 1.0\], which are no numbers"),
        ({"rewards": 1.0}, r"its rewards have the shape \[\]; there must be one for each copy"),
        ({"rewards": None}, r"its rewards have the shape \[\]; there must be one for each copy"),
        ({"terminated": None}, "its terminated is None; it must have one True or False for each copy"),
        ({"terminated": [[True], [False]]}, r"its terminated is \[\[True\], \[False\]\]; it must have one True"),
        ({"observations": np.zeros((2, 1))}, r"observation space: the shape of 2 is \[2, 1\]; `check` tells more"),
        ({"observations": np.full((2, 2), "a")}, "its observations are not in the observation space: could not"),
    ],
)
def test_what_many_copies_give_that_is_not_of_the_spaces_is_told(given, said):
    encoder = ObservationEncoder(plain(Gives.single_observation_space))
    copies = Vectorised(Gives(**given), [0], encoder, ActionAdapter(plain(Gives.single_action_space)))
    with pytest.raises(WrongValue, match=said):
        copies.step(np.zeros(2, np.int64))


@pytest.mark.parametrize("ends", [[1, 0], np.array([1, 0], np.int8), np.array([1.0, 0.0]), (True, False)])
def test_ends_of_many_copies_may_be_numbers(ends):
    encoder = ObservationEncoder(plain(Gives.single_observation_space))
    given = Gives(terminated=ends, infos={"life_lost": [2, 2]})
    given.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    copies = Vectorised(given, [0], encoder, ActionAdapter(plain(Gives.single_action_space)))
    step = copies.step(np.zeros(2, np.int64))
    assert step.terminated.tolist() == [True, False] and copies.active.tolist() == [False, True]
    assert step.life_lost is None, "a name that an environment may have for itself"


@pytest.mark.parametrize("name", [*MODES, "OnlyCopies-v0"])
def test_one_copy_is_an_environment_as_any_other(named, name):
    env = make(named(name))
    check_env(env, skip_render_check=True)
    env.close()
    env = make(named(name))
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    for steps in range(1, 4):
        observation, reward, terminated, truncated, info = env.step(2)
        assert observation["steps"].tolist() == [steps] and reward == 2.0 and info["metrics"] == {"steps": steps}
    assert (terminated, truncated) == (False, True)
    assert env.reset()[0]["steps"].tolist() == [0.0]
    env.close()


def test_arguments_reach_a_class_of_many_copies(named):
    ends = [row[1][-1] for row in played(named("SameStep", {"first": 5}), 1)[0] if any(row[2])]
    assert ends[0] == 6.0


@pytest.mark.parametrize(
    "name, said",
    [("NoMode", "metadata of NoMode have no autoreset_mode"), ("NoNumber", "its __init__ takes no num_envs")],
)
def test_a_class_of_many_copies_that_cannot_be_used_is_refused(named, name, said):
    with pytest.raises(InputError, match=said):
        find(named(name))

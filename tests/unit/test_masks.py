"""Action masks: where they are found, what is wrong with them, and that no illegal action is ever chosen."""

from itertools import product
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces import Discrete, MultiDiscrete

from rlsif.commands.rollout_demo import rollout_demo
from rlsif.envs.adapted import Adapted
from rlsif.envs.checker import ERROR
from rlsif.envs.checker import check as check_env
from rlsif.envs.find import find, make
from rlsif.envs.reference import parse
from rlsif.envs.spaces import plain
from rlsif.envs.vector import OneByOne, Step, WrongValue
from rlsif.errors import RlsifError
from rlsif.learning import catalogue
from rlsif.learning.judgement import judgement
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter, policy_space
from rlsif.policies.spaces import ActionMask
from rlsif.sampling.samplers import DQNSampler, PPOSampler, VTraceSampler

LAMPS = f"{Path(__file__).parents[1]}/data/lamps.py:Lamps"
CONFIG = {
    "model": {"fcnet_hiddens": [8], "fcnet_activation": "tanh", "vf_share_layers": True},
    "gamma": 0.9, "lambda": 0.9, "hiddens": [], "dueling": False, "n_step": 1,
    "exploration_config": {"type": "EpsilonGreedy", "initial_epsilon": 0.5, "final_epsilon": 0.5},
}  # fmt: skip


def weights(features, outputs, seed):
    random = np.random.default_rng(seed)
    shapes = {"fc_1": (features, 8), "fc_out": (8, outputs), "value_out": (8, 1)}
    found = {f"{name}/kernel": random.normal(scale=2, size=shape) for name, shape in shapes.items()}
    return {**found, **{f"{name}/bias": np.zeros(shape[1]) for name, shape in shapes.items()}}


class Forbidding:
    """Copies of an environment of arrays alone, which count the illegal actions that they are sent."""

    agents, waiting = (), None

    def __init__(self, number, counts):
        self.active, self._random, self._number = np.ones(number, np.bool_), np.random.default_rng(0), number
        self._counts, self.illegal, self.legal = counts, 0, 0
        self._draw()

    def step(self, chosen):
        starts = np.append(0, np.cumsum(self._counts)[:-1])
        choices = chosen.reshape(self._number, -1)[:, : len(starts)].astype(int)
        allowed = self._masks[np.arange(self._number)[:, None], starts + choices] != 0
        self.legal += int(allowed[self.active].all(axis=1).sum())
        self.illegal += int((~allowed[self.active].all(axis=1)).sum())
        terminated = self._random.random(self._number) < 0.05
        # As environments that begin an episode in the step after the end of one; a mask of zeros ends it.
        self.active = ~terminated
        self._draw()
        self._masks[terminated] = 0
        return Step(self.observations, np.ones(self._number), terminated, np.zeros_like(terminated))

    def _draw(self):
        parts = []
        for count in self._counts:
            part = (self._random.random((self._number, count)) < 0.3).astype(np.float32)
            part[np.arange(self._number), self._random.integers(count, size=self._number)] = 1
            parts.append(part)
        self.observations = np.concatenate([self._random.normal(size=(self._number, 3)).astype(np.float32), *parts], 1)
        self._masks = self.observations[:, 3:]

    def close(self):
        pass


MIXED = spaces.Tuple([Discrete(4), spaces.Box(-1, 1, (2,)), spaces.MultiBinary(2)])


def test_no_illegal_action_is_sent_in_two_million_steps():
    legal = 0
    for sampler, actions in product(
        [PPOSampler, VTraceSampler, DQNSampler], [Discrete(7), MultiDiscrete([4, 2, 3]), MIXED]
    ):
        if sampler is DQNSampler and not isinstance(actions, Discrete):
            continue
        counts = {Discrete: [7], MultiDiscrete: [4, 2, 3], spaces.Tuple: [4, 2, 2]}[type(actions)]
        environments, random = Forbidding(2_000, counts), np.random.default_rng(0)
        mine = sampler(
            environments, lambda seen: seen, CONFIG, policy_space(plain(actions)), 20, random, mask=sum(counts)
        )
        outputs = sum(counts) + 4 * (actions is MIXED)
        for seed in range(8):
            mine.set_weights(weights(3, outputs, seed))
            mine.sample()
        mine.set_weights({name: value * np.nan for name, value in weights(3, outputs, 0).items()})
        mine.sample()
        assert environments.illegal == 0
        legal += environments.legal
    assert legal > 2_000_000


def test_a_mask_is_found_wherever_environments_have_it():
    for told in ("observations", "observation", "beside", "several", "info"):
        found = find(parse(LAMPS, {"told": told}))
        assert found.mask == ActionMask(8 if told == "several" else 5, told == "info")
        assert "with a mask of" in found.described
    assert find(parse(LAMPS.replace("Lamps", "told_by_a_wrapper"))).mask == ActionMask(5, in_info=True)
    assert find(parse("Taxi-v3")).mask == ActionMask(6, in_info=True)
    assert find(parse("CartPole-v1")).mask is None


@pytest.mark.parametrize(
    ("mask", "actions", "said"),
    [
        (spaces.MultiBinary(4), Discrete(5), "is MultiBinary[4], and a mask of actions Discrete(5) has 5, one"),
        (Discrete(5), Discrete(5), "is Discrete(5), and a mask of actions Discrete(5) has 5"),
    ],
)
def test_a_mask_that_does_not_fit_is_told(mask, actions, said):
    seen = plain(spaces.Dict(action_mask=mask, observations=spaces.Box(0, 1, (2,))))
    with pytest.raises(ValueError) as told:
        masks.find(seen, plain(actions), {})
    assert said in str(told.value)
    with pytest.raises(ValueError, match="nothing beside 'action_mask'"):
        masks.find(plain(spaces.Dict(action_mask=spaces.MultiBinary(5))), plain(Discrete(5)), {})
    # Of numbers there is nothing to mask.
    assert masks.find(seen, plain(spaces.Box(0, 1, (5,))), {}) is None


WRONG = {
    "none": "'action_mask' has no legal action; one at least must be 1 unless the episode has ended",
    "short": "'action_mask' has 4 numbers, and its actions have 5 choices",
    "strange": "'action_mask' has 3 for action ",
    "missing": "the {} has no 'action_mask'; the first reset's had one, and every step must give it",
}


@pytest.mark.parametrize("told", ["info", "observations"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_mask_that_goes_wrong_is_told(told, wrong):
    ref = parse(LAMPS, {"told": told, "wrong": wrong})
    found = find(ref)
    encoder, adapter = masks.encoder_of(found.observations), ActionAdapter(found.actions)
    said = WRONG[wrong].format("info" if told == "info" else "observation")

    def sample():
        environments = OneByOne([make(ref)], [0], encoder, adapter)
        mine = PPOSampler(
            environments, lambda seen: seen, CONFIG, policy_space(found.actions), 99, np.random.default_rng(0), mask=5
        )
        mine.set_weights(weights(5, 5, 0))
        mine.sample()

    def rllibs():
        env = Adapted(make(ref), normalize=True, clip=True, mask=found.mask)
        seen, _ = env.reset()
        for _ in range(99):
            seen, _, terminated, *_ = env.step(int(seen[5:].argmax()))
            if terminated:
                seen, _ = env.reset()

    for act in (sample, rllibs):
        with pytest.raises(WrongValue) as raised:
            act()
        assert said in str(raised.value)


def test_an_illegal_action_of_rllibs_sampler_is_not_sent():
    ref = parse(LAMPS)
    env = Adapted(make(ref), normalize=True, clip=True, mask=find(ref).mask)
    env.reset()
    env.step(3)
    with pytest.raises(WrongValue, match="action 3 was chosen, which is illegal"):
        env.step(3)


def test_the_encoded_mask_of_a_vector_environment_is_that_of_its_copies():
    found = find(parse(LAMPS, {"told": "info"}))
    encoder = masks.encoder_of(found.observations)
    env = gymnasium.vector.SyncVectorEnv([lambda: make(found.ref)] * 3)
    observations, infos = env.reset()
    together = encoder.batch(observations, 3, infos)
    assert np.array_equal(together, np.ones((3, 10)))


def test_check_acts_legally_and_tells_of_masks():
    for told in ("info", "observations", "several"):
        found = check_env(parse(LAMPS, {"told": told}), judgement)
        assert [f for f in found if f.level == ERROR] == []
        assert any("says which actions are legal; PPO, APPO" in f.text for f in found)


@pytest.mark.parametrize("told", ["info", "several"])
def test_the_demo_acts_legally(told, capsys):
    rollout_demo(LAMPS, [f"told={told}"], steps=30, seed=1)
    assert capsys.readouterr().out.count("episode ended") == 6
    with pytest.raises(RlsifError, match="environment Lamps: 'action_mask' has no legal action"):
        rollout_demo(LAMPS, ["wrong=none"], steps=60, seed=1)


def test_an_algorithm_without_masks_is_refused():
    found = find(parse(LAMPS))
    with pytest.raises(catalogue.InputError, match="and SAC does not honour action masks; use --algo PPO or"):
        catalogue.check_spaces(catalogue.find("SAC", "tf"), "Lamps", found.observations, found.actions)

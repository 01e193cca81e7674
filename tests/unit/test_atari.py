"""How Atari games are played, without ale-py: tests/image/test_extras.py has the games."""

import gymnasium
import numpy as np
import pytest

from rlsif.envs import atari
from rlsif.envs.reference import PROTOCOLS, parse
from rlsif.envs.spaces import plain
from rlsif.envs.vector import OneByOne
from rlsif.errors import InputError
from rlsif.learning.spec import RunSpec, from_json
from rlsif.policies.actions import ActionAdapter
from rlsif.policies.encoder import ObservationEncoder
from rlsif.sampling.samplers import VTraceSampler


@pytest.mark.parametrize(
    ("env", "given", "played"),
    [
        ("ALE/Pong-v5", {}, "machado"),
        ("ale_py:ALE/Pong-v5", {}, "machado"),
        ("ALE/Pong-v5", {"atari": "deepmind"}, "deepmind"),
        ("ALE/Pong-v5", {"arguments": {"full_action_space": True}}, "machado"),
        # Prepared by the user.
        ("ALE/Pong-v5", {"arguments": {"obs_type": "ram"}}, None),
        ("ALE/Pong-v5", {"wrappers": [("mine.py:Own", {})]}, None),
        ("ALE/Pong-v5", {"wrappers": [("mine.py:Own", {})], "atari": "machado"}, "machado"),
        ("CartPole-v1", {}, None),
    ],
)
def test_a_game_has_a_protocol_unless_the_user_prepares_it(env, given, played):
    ref = parse(env, **given)
    assert ref.atari == played
    assert [wrapper.short for wrapper in ref.own_wrappers] == ["Own"] * len(given.get("wrappers", []))
    assert from_json(RunSpec("PPO", "tf", ref).as_json()).env == ref
    found = atari.protocol(ref)
    assert (found and found.title) == {"machado": "Machado et al. 2018", "deepmind": "Mnih et al. 2015"}.get(played)


def test_the_protocols_are_those_of_the_option():
    assert tuple(atari.PROTOCOLS) == PROTOCOLS
    with pytest.raises(InputError, match="--atari is 'x'; it must be machado or deepmind"):
        parse("ALE/Pong-v5", atari="x")


def test_a_screen_is_made_smaller_by_means():
    rows = atari._areas(210)
    assert rows.shape == (84, 210) and np.allclose(rows.sum(axis=1), 1)
    assert np.allclose(rows[0, :4], [0.4, 0.4, 0.2, 0]) and np.allclose(rows[1, :6], [0, 0, 0.2, 0.4, 0.4, 0])


class Lives(gymnasium.Env):
    """Loses a life in every third step, and ends in every ninth; rewards are 5."""

    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self._steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self._steps += 1
        over = self._steps == 9
        info = {atari.LIFE_LOST: self._steps % 3 == 0 and not over}
        return np.zeros(2, np.float32), 5.0, over, False, info


@pytest.mark.parametrize(("clip", "reward"), [(True, 1), (2.0, 2), (None, 5), (False, 5)])
def test_a_life_is_an_end_and_a_reward_is_clipped_for_the_learner_alone(clip, reward):
    encoder, adapter = ObservationEncoder(plain(Lives.observation_space)), ActionAdapter(plain(Lives.action_space))
    environments = OneByOne([Lives()], [0], encoder, adapter)
    model = {"fcnet_hiddens": [4], "fcnet_activation": "tanh", "vf_share_layers": True}
    config = {"model": model, "gamma": 0.9, "clip_rewards": clip}
    random = np.random.default_rng(0)
    sampler = VTraceSampler(environments, lambda seen: seen, config, plain(Lives.action_space), 18, random)
    shapes = {"fc_1": (2, 4), "fc_out": (4, 2), "value_out": (4, 1)}
    kernels = {f"p/{name}/kernel": random.normal(size=shape) for name, shape in shapes.items()}
    sampler.set_weights({**kernels, **{f"p/{name}/bias": np.zeros(shape[1]) for name, shape in shapes.items()}})
    batch = sampler.sample()
    assert np.flatnonzero(batch["terminateds"]).tolist() == [2, 5, 8, 11, 14, 17]
    assert (batch["rewards"] == reward).all()
    assert [(e.length, e.total_reward) for e in sampler.episodes()] == [(9, 45.0), (9, 45.0)]

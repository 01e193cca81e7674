"""`--model`: where a network of the user's own is found, and what it is in NumPy; without TensorFlow."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlsif.envs.reference import parse
from rlsif.errors import InputError
from rlsif.learning import own_network
from rlsif.learning.spec import RunSpec, from_json
from rlsif.policies import masks
from rlsif.sampling.own_twin import OwnTwin, has_twin, settings_of
from rlsif.training.saved import moved

OWN = """
class Network:
    @staticmethod
    def in_numpy(weights, scale=1):
        def act(observations):
            image, rest = observations
            return scale * image.sum(axis=(1, 2, 3))[:, None] * weights[0], rest @ weights[1]

        return act


class Slow:
    pass
"""
RUN = RunSpec("PPO", "tf", parse("/old/mine.py:Env"), network="/old/mine.py:Network")
MODEL = {"custom_model": None, "custom_model_config": {"scale": 2}, "use_lstm": False, "use_attention": False}


def test_a_run_keeps_the_name_and_an_older_one_has_none():
    assert from_json(json.loads(json.dumps(RUN.as_json()))) == RUN
    old = {name: value for name, value in RUN.as_json().items() if name != "network"}
    assert from_json(old).network is None


@pytest.mark.parametrize(
    ("run", "env", "given", "there"),
    [
        (RUN, None, None, "/old/mine.py:Network"),
        (RUN, "/new/mine.py:Env", None, "/new/mine.py:Network"),
        (RUN, None, "/new/mine.py:Network", "/new/mine.py:Network"),
        (replace(RUN, network="/other.py:Network"), "/new/mine.py:Env", None, "/other.py:Network"),
        (replace(RUN, network=None), "/new/mine.py:Env", None, None),
        (replace(RUN, env=parse("CartPole-v1")), "CartPole-v1", None, "/old/mine.py:Network"),
    ],
)
def test_it_moves_with_its_environment_or_by_its_name(run, env, given, there):
    assert moved(run, env, given, Path("/")).network == there


@pytest.mark.parametrize("has", [RUN, replace(RUN, network=None)])
def test_another_is_refused(has):
    with pytest.raises(InputError, match="--model is /new/mine.py:Other, but the run has .*; --model is only for one"):
        moved(has, None, "/new/mine.py:Other", Path("/"))


@pytest.mark.parametrize("size", [0, 3])
def test_its_name_and_twin_are_found_inside_a_mask_too(tmp_path, size):
    (tmp_path / "mine.py").write_text(OWN)
    model = own_network.as_rllib_has_it("/old/mine.py:Network", ".", MODEL)
    model = masks.outer_model(model, "MaskedActorCritic", size) if size else model
    own_network.put_name(model, f"{tmp_path}/mine.py:Network")
    settings = settings_of(model)
    assert has_twin(settings) and not has_twin({**settings, "network": f"{tmp_path}/mine.py:Slow"})
    assert settings_of(MODEL) is None and settings_of({}) is None
    twin = OwnTwin(settings, [(2, 2, 1), (3,)])
    twin.set_weights({"a": np.array([[1, 2]], np.float32), "b": np.ones((3, 1), np.float32)})
    outputs, values = twin.forward(np.arange(7, dtype=np.uint8)[None])
    assert outputs.tolist() == [[12, 24]] and values.tolist() == [15]
    assert (outputs.dtype, values.shape) == (np.float32, (1,))

"""Networks of a user's own, right and wrong, with an environment in the same file."""

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete


class Shown(gymnasium.Env):
    """An image beside two numbers; the first action is worth 1."""

    observation_space = Dict(at=Box(-1, 1, (2,), np.float32), seen=Box(0, 255, (8, 8, 3), np.uint8))
    action_space, max_episode_steps = Discrete(2), 10

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.shown(), {}

    def step(self, action):
        return self.shown(), float(action == 0), False, False, {}

    def shown(self):
        at = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return {"at": at, "seen": self.np_random.integers(0, 256, (8, 8, 3), np.uint8)}


class Plain(tf.Module):
    """Variables without names, in layers of a plain list; any shapes of observations, and parts of them."""

    def __init__(self, observation_space, num_outputs, width=16):
        super().__init__()
        parts = list(observation_space) if hasattr(observation_space, "spaces") else [observation_space]
        size = sum(int(np.prod(part.shape)) for part in parts)
        self.layers = [self.made(size, width), self.made(width, width)]
        self.outputs, self.value = self.made(width, num_outputs), self.made(width, 1)

    def made(self, *shape):
        return tf.Variable(tf.random.normal(shape, stddev=0.1)), tf.Variable(tf.zeros(shape[-1]))

    def __call__(self, observations):
        parts = observations if isinstance(observations, tuple) else (observations,)
        features = tf.concat([tf.reshape(part, [-1, int(np.prod(part.shape[1:]))]) for part in parts], axis=1)
        for weights, bias in self.layers:
            features = tf.tanh(features @ weights + bias)
        outputs, value = (features @ weights + bias for weights, bias in (self.outputs, self.value))
        return outputs, value[:, 0]


class Twin(Plain):
    """The same in NumPy, too."""

    slip = 0.0

    @classmethod
    def in_numpy(cls, weights, width=16):
        assert weights[1].shape == (width,)

        def act(observations):
            parts = observations if isinstance(observations, tuple) else (observations,)
            features = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
            for kernel, bias in zip(weights[:4:2], weights[1:4:2], strict=True):
                features = np.tanh(features @ kernel + bias)
            return features @ weights[4] + weights[5], (features @ weights[6] + weights[7])[:, 0] + cls.slip

        return act


class Slips(Twin):
    slip = 0.01


class Short(Twin):
    @classmethod
    def in_numpy(cls, weights, width=16):
        act = super().in_numpy(weights, width)
        return lambda observations: (act(observations)[0][:, :1], act(observations)[1])


class Falls(Twin):
    @staticmethod
    def in_numpy(weights, width=16):
        raise ValueError("no such weights")


class Few(Plain):
    def __call__(self, observations):
        outputs, values = super().__call__(observations)
        return outputs[:, 1:], values


class Many(Plain):
    def __call__(self, observations):
        outputs, _ = super().__call__(observations)
        return outputs, outputs


class Doubled(Plain):
    def __call__(self, observations):
        return tuple(tf.cast(each, tf.float64) for each in super().__call__(observations))


class Alone(Plain):
    def __call__(self, observations):
        return super().__call__(observations)[0]


class NoModule:
    def __init__(self, observation_space, num_outputs):
        """Take what every network takes."""


class Fails(Plain):
    def __init__(self, observation_space, num_outputs):
        raise ValueError("no such layer")


class FailsAtCall(Plain):
    def __call__(self, observations):
        raise ValueError("no such input")


class FailsLater(Plain):
    """Needs to know how many observations there are."""

    def __call__(self, observations):
        outputs, values = super().__call__(observations)
        return outputs * tf.ones([observations.shape[0], 1]), values


class Fixed(tf.Module):
    def __init__(self, observation_space, num_outputs):
        super().__init__()
        self.number = num_outputs

    def __call__(self, observations):
        return tf.zeros([tf.shape(observations)[0], self.number]), tf.zeros([tf.shape(observations)[0]])

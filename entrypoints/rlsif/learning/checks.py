"""Settings that RLlib takes, and with which it fails later, judged on all settings of a run together."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gymnasium.spaces import Box, Space

from rlsif.errors import InputError, near
from rlsif.learning import hyperparameters
from rlsif.learning.descriptor import Algorithm, imported

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

# Of ray.rllib.utils.exploration, the classes that work with TensorFlow and these algorithms: for choices among actions,
# for actions that are numbers, and for both.
OF_CHOICES = ("EpsilonGreedy", "ParameterNoise", "PerWorkerEpsilonGreedy", "SoftQ")
OF_NUMBERS = ("GaussianNoise", "OrnsteinUhlenbeckNoise", "PerWorkerOrnsteinUhlenbeckNoise")
EXPLORATIONS = (*OF_CHOICES, *OF_NUMBERS, "Random", "StochasticSampling")
# The settings of a class that takes them by other names, or passes them on; the values are their defaults.
OF_REPLAY_BUFFERS = {"alpha": 0.6, "beta": 0.4, "eps": 1e-6, "worker_side_prioritization": False}


def check(config: AlgorithmConfig, algorithm: Algorithm) -> None:
    """Refuse settings that do not go together. Raises InputError."""
    _check_minibatch(config, algorithm.name)
    _check_advantages(config, algorithm.name)
    _check_exploration(config.exploration_config, algorithm.name)
    if algorithm.replays:
        _check_replay_buffer(config.replay_buffer_config, algorithm.name)
    if algorithm.check:
        imported(algorithm.check)(config, algorithm.name)


def check_rewards(config: AlgorithmConfig) -> None:
    """Refuse another scale of rewards beside that of returns. Raises InputError."""
    if config.clip_rewards:
        raise InputError(
            f"--normalize-rewards scales rewards, and clip_rewards={config.clip_rewards} clips them; leave one of the"
            " two out, by --no-normalize-rewards if it is the preset's"
        )


def check_explored(config: AlgorithmConfig, algo: str, env: str, action_spaces: Iterable[Space[Any]]) -> None:
    """Refuse an exploration with which RLlib fails on actions of these spaces. Raises InputError."""
    kind = config.exploration_config.get("type")
    for space in action_spaces:
        is_box = isinstance(space, Box)
        if kind in (OF_CHOICES if is_box else OF_NUMBERS):
            needed = "choices, as Discrete" if is_box else "numbers, as Box"
            raise InputError(
                f"{algo}'s 'exploration_config.type' is {kind!r}, which is for actions that are {needed}, and those of"
                f" {env} are {type(space).__name__}; leave it at its default"
            )


def check_precision(config: AlgorithmConfig, algorithm: Algorithm) -> None:
    """Refuse another precision where RLlib makes the updates, which are in float32. Raises InputError."""
    recurrent = config.model["use_lstm"] or config.model["use_attention"]
    against = "a recurrent network" if recurrent else None
    if algorithm.uncompiled and not against:
        against = imported(algorithm.uncompiled)(config)
    if against:
        raise InputError(
            f"--precision bf16 is for updates that are made in one call; because of {against}, RLlib makes those of"
            f" {algorithm.name}, in float32; leave it out"
        )


def _check_advantages(config: AlgorithmConfig, algo: str) -> None:
    """Refuse GAE without the value function that it needs."""
    if getattr(config, "use_gae", False) and not getattr(config, "use_critic", True):
        raise InputError(
            f"{algo}'s 'use_critic' is false and its 'use_gae' true; GAE needs the critic: leave use_critic at true,"
            " or give use_gae=false and batch_mode=complete_episodes, too"
        )


def _check_exploration(given: Mapping[str, Any], algo: str) -> None:
    """Refuse an exploration that RLlib does not have, or that has no such settings."""
    from ray.rllib.utils import exploration

    kind = given.get("type")
    # A class of the user's own is named by its module, too.
    if isinstance(kind, type) or (isinstance(kind, str) and "." in kind):
        return
    if kind not in EXPLORATIONS:
        raise InputError(
            f"{algo}'s 'exploration_config.type' is {kind!r}; it must be one of {', '.join(EXPLORATIONS)}"
            f"{near(str(kind), EXPLORATIONS)}"
        )
    if given.get("scale_schedule") is not None:
        raise InputError(
            f"{algo}'s 'exploration_config.scale_schedule' is {given['scale_schedule']!r}, and RLlib wants an object of"
            " Python there; use initial_scale, final_scale and scale_timesteps"
        )
    known = _arguments(getattr(exploration, str(kind)))
    # Schedules are checked where they are given.
    settings = {name: value for name, value in given.items() if name not in ("type", "epsilon_schedule")}
    hyperparameters.check(settings, known, algo, prefix="exploration_config.")


def _check_replay_buffer(given: Mapping[str, Any], algo: str) -> None:
    """Refuse settings that the replay buffer does not have, or of another kind."""
    from ray.rllib.utils import replay_buffers

    kind = getattr(replay_buffers, str(given.get("type")), None)
    if not isinstance(kind, type):
        return
    settings = {name: value for name, value in given.items() if name != "type"}
    # The buffer may be that of a preset: priorities beside one that has none have no effect.
    known = {**OF_REPLAY_BUFFERS, **_arguments(replay_buffers.MultiAgentPrioritizedReplayBuffer), **_arguments(kind)}
    unknown = next((name for name in settings if name not in known), None)
    if unknown:
        raise InputError(
            f"{algo}'s replay buffer, {kind.__name__}, has no setting {unknown!r}"
            f"{near(unknown, known) or '; it has ' + ', '.join(known)}"
        )
    hyperparameters.check(settings, known, algo, prefix="replay_buffer_config.")


def _arguments(kind: type) -> dict[str, Any]:
    """The arguments of a class and those it is derived from, with their defaults."""
    methods = [vars(each)["__init__"] for each in reversed(kind.__mro__) if "__init__" in vars(each)]
    signatures = map(inspect.signature, methods)
    arguments = [argument for signature in signatures for argument in signature.parameters.values()]
    return {each.name: each.default for each in arguments if each.default is not each.empty}


def _check_minibatch(config: AlgorithmConfig, algo: str) -> None:
    """Refuse a minibatch that is larger than the batch it is part of."""
    minibatch, batch = getattr(config, "minibatch_size", None), config.train_batch_size
    if isinstance(minibatch, int) and isinstance(batch, int) and minibatch > batch:
        raise InputError(
            f"{algo}'s 'minibatch_size' is {minibatch} and its 'train_batch_size' {batch}; a minibatch is a part of a"
            f" batch: --set minibatch_size={batch} or less"
        )


def check_vtrace(config: AlgorithmConfig, algo: str) -> None:
    """Refuse what RLlib's learner of APPO and IMPALA cannot do. Raises InputError."""
    stacks, kept = config.num_multi_gpu_tower_stacks, config.minibatch_buffer_size
    if config.grad_clip is None:
        raise InputError(f"{algo}'s 'grad_clip' is null; it must be a number, and 1e9 clips nothing")
    if config.framework_str == "tf" and stacks > 1:
        raise InputError(
            f"{algo}'s 'num_multi_gpu_tower_stacks' is {stacks}, and there are no towers, which RLlib has for many"
            " GPUs; leave it at 1"
        )
    if config.framework_str == "tf" and kept > stacks:
        raise InputError(
            f"{algo}'s 'minibatch_buffer_size' is {kept} and its 'num_multi_gpu_tower_stacks' {stacks}; with"
            " --framework tf, RLlib keeps no more batches than that; leave it at 1"
        )
    _check_stretches(config, algo)


def _check_stretches(config: AlgorithmConfig, algo: str) -> None:
    """Refuse batches that RLlib's learner would cut within a fragment, which it cannot fill up. Raises InputError."""
    from rlsif.learning.compiled_async import uncompiled
    from rlsif.sampling.env_runner import ArrayEnvRunner

    batch, fragment = config.train_batch_size, config.get_rollout_fragment_length()
    recurrent = config.model["use_lstm"] or config.model["use_attention"]
    in_arrays = config.env_runner_cls is ArrayEnvRunner and config.framework_str == "tf"
    if not in_arrays or recurrent or config.minibatch_size is not None or batch % fragment == 0:
        return
    against = uncompiled(config, recurrent)
    if against:
        raise InputError(
            f"{algo}'s 'train_batch_size' is {batch} and its 'rollout_fragment_length' {fragment}; RLlib makes the"
            f" updates, because of {against}, and it learns from whole fragments only:"
            f" --set train_batch_size={(batch // fragment + 1) * fragment}"
        )


def check_cql(config: AlgorithmConfig, algo: str) -> None:
    """Refuse what CQL's loss would learn nothing of, or wrong things. Raises InputError."""
    if not config.normalize_actions:
        raise InputError(
            f"normalize_actions is false, and {algo}'s loss takes actions for those between -1 and 1; leave it at true"
        )
    for name, fits, right in (
        ("num_actions", config.num_actions >= 1, "at least 1"),
        ("bc_iters", config.bc_iters >= 0, "at least 0"),
    ):
        if not fits:
            raise InputError(f"{algo}'s {name!r} is {getattr(config, name)}; it must be {right}")

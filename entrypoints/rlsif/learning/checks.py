"""Settings that RLlib takes, and fails of later, judged on all settings of a run together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsif.errors import InputError
from rlsif.learning.descriptor import Algorithm, imported

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


def check(config: AlgorithmConfig, algorithm: Algorithm) -> None:
    """Refuse settings that do not go together. Raises InputError."""
    _check_minibatch(config, algorithm.name)
    if algorithm.check:
        imported(algorithm.check)(config, algorithm.name)


def check_rewards(config: AlgorithmConfig) -> None:
    """Refuse another scale of rewards beside that of returns. Raises InputError."""
    if config.clip_rewards:
        raise InputError(
            f"--normalize-rewards scales rewards, and clip_rewards={config.clip_rewards} clips them; leave one of the"
            " two out"
        )


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

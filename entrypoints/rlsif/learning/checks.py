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
    if config.framework_str == "tf" and stacks > 1 and not config.num_gpus:
        raise InputError(
            f"{algo}'s 'num_multi_gpu_tower_stacks' is {stacks}, and the learner has no GPU that could keep batches;"
            " leave it at 1, or use --num-gpus 1"
        )
    if config.framework_str == "tf" and kept > stacks:
        raise InputError(
            f"{algo}'s 'minibatch_buffer_size' is {kept} and its 'num_multi_gpu_tower_stacks' {stacks}; with"
            " --framework tf, RLlib keeps no more batches than that; leave it at 1"
        )

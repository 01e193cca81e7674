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
            " two out, by --no-normalize-rewards if it is the preset's"
        )


def check_precision(config: AlgorithmConfig, algorithm: Algorithm) -> None:
    """Refuse another precision where RLlib makes the updates, which are in float32. Raises InputError."""
    recurrent = config.model["use_lstm"] or config.model["use_attention"]
    against = "a recurrent network" if recurrent else None
    if algorithm.uncompiled and not against:
        against = imported(algorithm.uncompiled)(config)
    if against:
        raise InputError(
            f"--precision bf16 is for updates that are made in one call, and for {against} RLlib makes those of"
            f" {algorithm.name}, in float32; leave it out"
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
            f"{algo}'s 'train_batch_size' is {batch} and its 'rollout_fragment_length' {fragment}; for {against} RLlib"
            f" learns, which takes whole fragments alone: --set train_batch_size={(batch // fragment + 1) * fragment}"
        )


def check_cql(config: AlgorithmConfig, algo: str) -> None:
    """Refuse what CQL's loss would learn nothing of, or wrong things. Raises InputError."""
    if not config.normalize_actions:
        raise InputError(
            f"normalize_actions is false, and {algo}'s loss takes actions for those between -1 and 1; leave it at true"
        )
    for name, fits, right in (
        ("temperature", config.temperature > 0, "above 0"),
        ("num_actions", config.num_actions >= 1, "at least 1"),
        ("bc_iters", config.bc_iters >= 0, "at least 0"),
    ):
        if not fits:
            raise InputError(f"{algo}'s {name!r} is {getattr(config, name)}; it must be {right}")

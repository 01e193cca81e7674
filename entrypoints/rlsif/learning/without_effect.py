"""Settings that RLlib takes, and that no part of it reads where TensorFlow learns.

Most are of RLlib's new API stack, which has no TensorFlow. A test looks through RLlib's source for others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from rlsif.learning.catalogue import catalogue

# What to use, and the settings, `*` standing for any letters; the descriptor of an algorithm has its own.
KINDS: Mapping[str, tuple[str, ...]] = {
    "the learner is one process; use train_batch_size": ("train_batch_size_per_learner",),
    "the learner is one process; --num-gpus gives it a GPU, and --num-cpus bounds its threads": (
        "num_learners", "*_per_learner", "*_aggregator_*", "local_gpu_idx", "learner_class",
        "learner_config_dict", "enable_rl_module_and_learner",
    ),
    "it is of RLlib's new API stack, which has no TensorFlow; model.KEY sets the network, --wrap what it sees": (
        "*connector*", "*rl_module*", "model_config", "algorithm_config_overrides_per_module", "*env_runner_state*",
        "episodes_to_numpy", "episode_lookback_horizon", "action_mask_key", "gym_env_vectorize_mode",
        "stats_cls_lookup", "model.*_initializer", "model.*_initializer_config", "model.encoder_latent_dim",
        "model.log_std_clip_param",
    ),
    "it is PyTorch's, and TensorFlow learns here": ("torch_*",),
    "--input names what was recorded, and all of it is read": (
        "input_read_*", "input_filesystem*", "input_compress_columns", "input_spaces_jsonable", "map_batches_kwargs",
        "iter_batches_kwargs", "materialize_*", "dataset_*", "prelearner_*", "offline_data_class", "offline_sampling",
        "offline_loss_for_module_fn", "ignore_final_observation",
    ),
    "use `evaluate RUN --record FOLDER`, which records episodes": (
        "output_filesystem*", "output_write_*", "output_max_rows_per_file",
    ),
    "use --evaluate-every and --evaluate-episodes": (
        "evaluation_*", "offline_eval*", "*_offline_eval*", "custom_eval_function", "ope_split_batch_by_episode",
        "in_evaluation",
    ),
    "--set callbacks=mine.py:MyCallbacks names a class of RLlib's, --callbacks one of rlsif's": ("callbacks_class",),
    "use replay_buffer_config.replay_sequence_length": ("replay_sequence_length",),
    "use --policies and --train-policies": ("policies", "policies_to_train", "policy_mapping_fn"),
    "Ray Tune alone would read it; --num-cpus and --num-gpus decide what a run uses": (
        "placement_strategy", "*_for_main_process",
    ),
    "the environment decides it": ("observation_space", "action_space", "create_env_on_driver", "disable_env_checking"),
    "with TensorFlow, RLlib decides what is clipped together; grad_clip says how far": ("grad_clip_by",),
    "the rows of an update are always shuffled": ("shuffle_batch_per_epoch",),
    "docs/columns.md has what is logged": ("log_gradients", "log_sys_usage"),
}  # fmt: skip


def instead(name: str, algo: str) -> str | None:
    """What to use in the place of a setting, and why; None where it has an effect."""
    return next((advice for advice, pattern in _patterns(algo) if fnmatchcase(name, pattern)), None)


def _patterns(algo: str) -> Iterator[tuple[str, str]]:
    for kinds in (catalogue()[algo].without_effect, KINDS):
        for advice, patterns in kinds.items():
            yield from ((advice, pattern) for pattern in patterns)

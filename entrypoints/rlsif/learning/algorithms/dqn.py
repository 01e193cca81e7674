"""DQN."""

from rlsif.learning.descriptor import Algorithm

ALGORITHM = Algorithm(
    name="DQN",
    frameworks=("tf", "tf2"),
    action_spaces=("Discrete",),
    note="learns from few env steps; discrete actions",
    sampler="rlsif.sampling.samplers:DQNSampler",
    masked_model="MaskedQ",
    fixes=(
        "rlsif.learning.compiled_off_policy:CompiledOffPolicy",
        "rlsif.learning.fixes:OwnReplayBuffer",
        "rlsif.learning.fixes:RefilledReplay",
    ),
    uncompiled="rlsif.learning.compiled_off_policy:uncompiled",
    defaults={
        "replay_buffer_config": {
            "type": "MultiAgentPrioritizedReplayBuffer", "capacity": 50_000, "replay_sequence_length": 1,
        }
    },
    without_effect={
        "use exploration_config.initial_epsilon, .final_epsilon and .epsilon_timesteps": ("epsilon",),
        "it is of RLlib's new API stack, which has no TensorFlow": ("burn_in_len",),
    },
)  # fmt: skip

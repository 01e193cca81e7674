"""SAC."""

from rlsif.learning.descriptor import Algorithm

ALGORITHM = Algorithm(
    name="SAC",
    frameworks=("tf",),
    action_spaces=("Discrete", "Box"),
    note="learns from few env steps; continuous actions",
    squashes_actions=True,
    sampler="rlsif.sampling.samplers:SACSampler",
    fixes=("rlsif.learning.compiled_off_policy:CompiledOffPolicy", "rlsif.learning.fixes:RefilledReplay"),
    uncompiled="rlsif.learning.compiled_off_policy:uncompiled",
    defaults={
        "replay_buffer_config": {"type": "MultiAgentReplayBuffer", "capacity": 100_000, "replay_sequence_length": 1},
    },
    without_effect={
        "SAC's rates are optimization.actor_learning_rate, .critic_learning_rate and .entropy_learning_rate": (
            "lr",
            "actor_lr",
            "critic_lr",
            "alpha_lr",
        ),
    },
)

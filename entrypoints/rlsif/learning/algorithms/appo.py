"""APPO."""

from rlsif.learning.descriptor import Algorithm

ALGORITHM = Algorithm(
    name="APPO",
    frameworks=("tf", "tf2"),
    action_spaces=("Discrete", "MultiDiscrete", "Box", "mixed"),
    note="PPO with sampling and learning apart; many runners",
    sampler="rlsif.sampling.samplers:VTraceSampler",
    masked_model="MaskedActorCritic",
    own_network=True,
    fixes=("rlsif.learning.compiled_async:CompiledAPPO",),
    check="rlsif.learning.checks:check_vtrace",
    uncompiled="rlsif.learning.compiled_async:uncompiled",
    without_effect={
        "with TensorFlow, APPO keeps no such buffer": ("use_circular_buffer", "circular_buffer_*", "simple_queue_size"),
        "with TensorFlow, APPO's target network follows after each batch; tau says how far": (
            "target_network_update_freq",
            "target_update_frequency",
            "target_worker_clipping",
        ),
    },
)

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
)

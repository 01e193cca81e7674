"""PPO."""

from rlsif.learning.descriptor import Algorithm

ALGORITHM = Algorithm(
    name="PPO",
    frameworks=("tf", "tf2"),
    action_spaces=("Discrete", "MultiDiscrete", "Box", "mixed"),
    note="the default; steady on most tasks",
    sampler="rlsif.sampling.samplers:PPOSampler",
    recurrent_sampler="rlsif.sampling.recurrent_sampler:RecurrentPPOSampler",
    masked_model="MaskedActorCritic",
    own_network=True,
    fixes=("rlsif.learning.compiled_ppo:CompiledPPO",),
)

"""BC."""

from rlsif.learning.descriptor import Algorithm

ALGORITHM = Algorithm(
    name="BC",
    frameworks=("tf", "tf2"),
    action_spaces=("Discrete", "MultiDiscrete", "Box", "mixed"),
    note="imitates recorded episodes (--input)",
    offline=True,
    masked_model="MaskedActorCritic",
    own_network=True,
    fixes=("rlsif.learning.compiled_offline:CompiledOffline",),
    defaults={"actions_in_input_normalized": True, "min_sample_timesteps_per_iteration": 50_000},
)

"""MARWIL."""

from rlsif.learning.descriptor import Algorithm

ALGORITHM = Algorithm(
    name="MARWIL",
    frameworks=("tf", "tf2"),
    action_spaces=("Discrete", "MultiDiscrete", "Box", "mixed"),
    note="imitates the better of recorded episodes (--input)",
    offline=True,
    masked_model="MaskedActorCritic",
    own_network=True,
    fixes=("rlsif.learning.compiled_offline:CompiledMARWIL",),
    defaults={"actions_in_input_normalized": True, "min_sample_timesteps_per_iteration": 50_000},
    without_effect={"MARWIL draws single steps": ("burnin_len",)},
)

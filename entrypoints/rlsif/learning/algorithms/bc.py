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
    without_effect={
        "BC draws single steps": ("burnin_len",),
        "BC learns no value function; MARWIL does": ("vf_coeff", "moving_average_sqd_adv_norm_*"),
    },
    stay_zero={"beta": "BC imitates all steps alike; MARWIL weighs them by it: use --algo MARWIL"},
)

"""CQL."""

from rlsif.learning.descriptor import Algorithm
from rlsif.private_api import BETA_DISTRIBUTION, DETERMINISTIC_LOSS

ALGORITHM = Algorithm(
    name="CQL",
    frameworks=("tf",),
    action_spaces=("Box",),
    note="gets better than recorded episodes (--input); continuous actions",
    offline=True,
    squashes_actions=True,
    fixes=("rlsif.learning.compiled_cql:CompiledCQL",),
    check="rlsif.learning.checks:check_cql",
    defaults={
        "actions_in_input_normalized": True,
        "min_sample_timesteps_per_iteration": 25_600,
        # RLlib would make as many iterations of one as fit into a second.
        "min_time_s_per_iteration": 0,
    },
    without_effect={
        "CQL's rates are optimization.actor_learning_rate, .critic_learning_rate and .entropy_learning_rate": (
            "lr",
            "actor_lr",
            "critic_lr",
            "alpha_lr",
        ),
        "CQL learns from recorded steps, all of which are in memory": (
            "replay_buffer_config",
            "store_buffer_in_checkpoints",
            "num_steps_sampled_before_learning_starts",
            "training_intensity",
        ),
        "CQL draws single steps": ("n_step",),
        "RLlib's loss takes no entropy from the next step's value, whatever it is": ("deterministic_backup",),
        "RLlib's loss with a multiplier fails in TensorFlow; min_q_weight is its weight": ("lagrangian_thresh",),
    },
    stay_zero={
        "lagrangian": "RLlib's loss with it fails in TensorFlow; min_q_weight is the weight that it would learn",
        DETERMINISTIC_LOSS: "CQL's loss draws actions",
        BETA_DISTRIBUTION: "CQL's loss takes actions for those between -1 and 1",
    },
)

"""Options that several commands have, with one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

ENVIRONMENT, TRAINING, PROCESSES = "Environment", "What to train", "Processes"
ENDS, FILES = "When to stop", "Files"

ENV_HELP = "Environment: a Gymnasium id, module:Id, module:Class, path/to/file.py:Class, mpe2.simple_spread_v3."
ENV = Annotated[Optional[str], typer.Option(help=ENV_HELP, rich_help_panel=ENVIRONMENT)]
ENV_CONFIG = Annotated[
    Optional[list[str]],
    typer.Option(
        metavar="KEY=VALUE",
        help="One argument of the environment, as in is_slippery=false. Repeatable.",
        rich_help_panel=ENVIRONMENT,
    ),
]
ENV_TIMEOUT = Annotated[
    float,
    typer.Option(help="Seconds without a step of an environment after which the run ends.", rich_help_panel=PROCESSES),
]
ENV_PROCESSES = Annotated[
    Optional[int],
    typer.Option(
        help="Processes in which each env runner steps its environments, and the cores that it counts for. Default: its"
        " own process.",
        rich_help_panel=PROCESSES,
    ),
]
WRAP = Annotated[
    Optional[list[str]],
    typer.Option(
        metavar="NAME[:k=v,k=v]",
        help="Wrap the environment: one of gymnasium.wrappers, module:Wrapper or path/to/file.py:Wrapper."
        " Repeatable; the first is the innermost.",
        rich_help_panel=ENVIRONMENT,
    ),
]
ATARI = Annotated[
    Optional[str],
    typer.Option(
        metavar="machado|deepmind",
        help="How an Atari game is played: after Machado et al. 2018 (sticky actions, the default) or Mnih et al. 2015"
        " (no-op starts, a lost life ends what is learned from).",
        rich_help_panel=ENVIRONMENT,
    ),
]
ALGO_HELP = "Algorithm: PPO (default), APPO, IMPALA, DQN, SAC; of recorded episodes BC, CQL, MARWIL."
POLICIES = Annotated[
    Optional[str],
    typer.Option(
        metavar="shared|each|FILE",
        help="Policies of many agents: one for all (default), one each, or by roles.yaml (agent or pattern: policy) or"
        " mine.py:mapping, which gives an agent's policy.",
        rich_help_panel=TRAINING,
    ),
]
TRAIN_POLICIES = Annotated[
    Optional[str],
    typer.Option(
        metavar="NAME,NAME",
        help="Policies that learn; the others keep their initial weights. Default: all.",
        rich_help_panel=TRAINING,
    ),
]
OPPONENT = Annotated[
    Optional[str],
    typer.Option(
        metavar="self|random|RUN",
        help="Who plays the agents that do not learn: earlier policies of the run itself, chance, or another run or"
        " checkpoint. Where agents share one policy, the run plays one of them, another one in each next episode.",
        rich_help_panel=TRAINING,
    ),
]
OPPONENT_EVERY = Annotated[
    Optional[int],
    typer.Option(
        help="Iterations after which --opponent self keeps the policy as one more opponent. Default: 10.",
        rich_help_panel=TRAINING,
    ),
]
ALGO = Annotated[
    Optional[str],
    typer.Option("--algo", "--run", help=ALGO_HELP, rich_help_panel=TRAINING),
]
CONFIG = Annotated[
    Optional[Path],
    typer.Option(
        help="YAML file of hyperparameters with RLlib's names. Overrides the preset.", rich_help_panel=TRAINING
    ),
]
SET = Annotated[
    Optional[list[str]],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One hyperparameter: lr=0.0003, model.fcnet_hiddens=[64,64]. Overrides preset and file. Repeatable.",
        rich_help_panel=TRAINING,
    ),
]
MODEL = Annotated[
    Optional[str],
    typer.Option(
        metavar="FILE.py:CLASS",
        help="Network of your own, a tf.Module; --set model.custom_model_config.KEY=VALUE is an argument of it.",
        rich_help_panel=TRAINING,
    ),
]
SEED = Annotated[
    Optional[int],
    typer.Option(
        help="Seed of all random numbers. With --local-mode, two runs with the same seed give the same result.",
        rich_help_panel=TRAINING,
    ),
]
NORMALIZE_REWARDS = Annotated[
    Optional[bool],
    typer.Option(
        "--normalize-rewards/--no-normalize-rewards",
        help="PPO, APPO, IMPALA: learn from rewards divided by the running deviation of the discounted return. Default:"
        " as the preset says.",
        rich_help_panel=TRAINING,
    ),
]
STOP_REWARD = Annotated[
    Optional[float],
    typer.Option(help="Stop at this mean return over the last 100 episodes.", rich_help_panel=ENDS),
]
STOP_TIMESTEPS = Annotated[
    Optional[int], typer.Option(help="Stop after this number of env steps.", rich_help_panel=ENDS)
]
STOP_ITERS = Annotated[
    Optional[int], typer.Option(help="Stop after this number of training iterations.", rich_help_panel=ENDS)
]
STOP_TIME = Annotated[
    Optional[float], typer.Option(help="Stop after this number of seconds of training.", rich_help_panel=ENDS)
]
RESULTS_DIR = Annotated[Path, typer.Option(help="Folder in which the run makes its own folder.", rich_help_panel=FILES)]

"""Options that several commands have, with one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

TRAINING, PROCESSES, ENDS, FILES = "What to train", "Processes", "When to stop", "Files"

ENV_HELP = "Environment: a Gymnasium id, module:Id, module:Class, or path/to/file.py:Class."
ENV = Annotated[Optional[str], typer.Option(help=ENV_HELP, rich_help_panel=TRAINING)]
ENV_CONFIG = Annotated[
    Optional[list[str]],
    typer.Option(
        metavar="KEY=VALUE",
        help="One argument of the environment: is_slippery=false. Repeatable.",
        rich_help_panel=TRAINING,
    ),
]
ALGO = Annotated[
    Optional[str],
    typer.Option(
        "--algo", "--run", help="Algorithm: PPO (default), APPO, IMPALA, DQN or SAC.", rich_help_panel=TRAINING
    ),
]
CONFIG = Annotated[
    Optional[Path],
    typer.Option(help="YAML file of hyperparameters by RLlib's names, over the preset.", rich_help_panel=TRAINING),
]
SET = Annotated[
    Optional[list[str]],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One hyperparameter, over preset and file: lr=0.0003, model.fcnet_hiddens=[64,64]. Repeatable.",
        rich_help_panel=TRAINING,
    ),
]
SEED = Annotated[
    Optional[int],
    typer.Option(
        help="Seed of everything random. With --local-mode two runs of one seed are alike.", rich_help_panel=TRAINING
    ),
]
STOP_REWARD = Annotated[
    Optional[float],
    typer.Option(help="Stop at this mean return over the last 100 episodes.", rich_help_panel=ENDS),
]
STOP_TIMESTEPS = Annotated[Optional[int], typer.Option(help="Stop after so many env steps.", rich_help_panel=ENDS)]
STOP_ITERS = Annotated[
    Optional[int], typer.Option(help="Stop after so many training iterations.", rich_help_panel=ENDS)
]
STOP_TIME = Annotated[
    Optional[float], typer.Option(help="Stop after so many seconds of training.", rich_help_panel=ENDS)
]
RESULTS_DIR = Annotated[Path, typer.Option(help="Folder that gets the run's folder.", rich_help_panel=FILES)]

"""`train`: train an agent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Optional

import typer

from rlsif.commands import cli

TRAINING, PROCESSES, ENDS, FILES = "What to train", "Processes", "When to stop", "Files"


def train(
    ctx: typer.Context,
    env: Annotated[
        Optional[str],
        typer.Option(
            help="Environment: a Gymnasium id, module:Id, module:Class, or path/to/file.py:Class.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    env_config: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="KEY=VALUE",
            help="One argument of the environment: is_slippery=false. Repeatable.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    algo: Annotated[
        Optional[str],
        typer.Option(
            "--algo", "--run", help="Algorithm: PPO (default), APPO, IMPALA, DQN or SAC.", rich_help_panel=TRAINING
        ),
    ] = None,
    framework: Annotated[
        Optional[str],
        typer.Option(
            help="tf (graph, the default and faster) or tf2 (eager, easier to debug).", rich_help_panel=TRAINING
        ),
    ] = None,
    config: Annotated[
        Optional[Path],
        typer.Option(help="YAML file of hyperparameters by RLlib's names, over the preset.", rich_help_panel=TRAINING),
    ] = None,
    set_: Annotated[
        Optional[list[str]],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One hyperparameter, over preset and file: lr=0.0003, model.fcnet_hiddens=[64,64]. Repeatable.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    seed: Annotated[
        Optional[int],
        typer.Option(
            help="Seed of everything random. With --local-mode two runs of one seed are alike.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    list_algos: Annotated[
        bool,
        typer.Option("--list-algos", help="Print which algorithm works with what, and exit.", rich_help_panel=TRAINING),
    ] = False,
    num_cpus: Annotated[
        Optional[int],
        typer.Option(
            help="Cores of the run: one for the learner, the rest for env runners. Default: all this process may use.",
            rich_help_panel=PROCESSES,
        ),
    ] = None,
    num_gpus: Annotated[
        Optional[float],
        typer.Option(
            help="GPUs of the learner; 0.5 shares one. Needs rl-gpu.sif, --nv. Default: 0; in a job all of its node's.",
            rich_help_panel=PROCESSES,
        ),
    ] = None,
    num_env_runners: Annotated[
        Optional[int],
        typer.Option(help="Env runners, instead of --num-cpus; 0 lets the learner sample.", rich_help_panel=PROCESSES),
    ] = None,
    num_envs_per_env_runner: Annotated[
        Optional[int],
        typer.Option(
            help="Environments that each runner steps at once. Default: the preset's.", rich_help_panel=PROCESSES
        ),
    ] = None,
    local_mode: Annotated[
        bool,
        typer.Option(
            "--local-mode",
            help="Everything in one process: for a debugger, and for exact repetition.",
            rich_help_panel=PROCESSES,
        ),
    ] = False,
    stop_reward: Annotated[
        Optional[float],
        typer.Option(help="Stop at this mean return over the last 100 episodes.", rich_help_panel=ENDS),
    ] = None,
    stop_timesteps: Annotated[
        Optional[int], typer.Option(help="Stop after so many env steps.", rich_help_panel=ENDS)
    ] = None,
    stop_iters: Annotated[
        Optional[int], typer.Option(help="Stop after so many training iterations.", rich_help_panel=ENDS)
    ] = None,
    stop_time: Annotated[
        Optional[float], typer.Option(help="Stop after so many seconds of training.", rich_help_panel=ENDS)
    ] = None,
    resume: Annotated[
        Optional[Path],
        typer.Option(
            help="Go on with a run: its folder, or its last checkpoint. Appends to the same files.",
            rich_help_panel=FILES,
        ),
    ] = None,
    checkpoint_every: Annotated[
        int, typer.Option(help="Iterations between checkpoints; the last is always kept.", rich_help_panel=FILES)
    ] = 10,
    keep_checkpoints: Annotated[
        int, typer.Option(help="Newest checkpoints to keep, beside the best.", rich_help_panel=FILES)
    ] = 3,
    results_dir: Annotated[Path, typer.Option(help="Folder that gets the run's folder.", rich_help_panel=FILES)] = Path(
        "~/ray_results"
    ),
) -> int:
    """Train an agent with RLlib and TensorFlow.

    [bold]train --env CartPole-v1[/bold] trains with PPO on all cores until the environment is solved,
    with a preset where there is one. Whichever --stop comes first ends the run; without
    any, the environment's reward threshold or a million env steps do. Ctrl-C saves a
    checkpoint first; [bold]train --resume RUN_FOLDER[/bold] goes on from it.
    """
    if list_algos:
        from rlsif.commands.list_algos import print_algorithms

        print_algorithms()
        return 0
    from rlsif.training.options import TrainOptions
    from rlsif.training.run import train as run_training
    from rlsif.training.stopping import Stop

    options = TrainOptions(
        env=env,
        env_settings=tuple(env_config or ()),
        algo=algo,
        framework=framework,
        seed=seed,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        num_env_runners=num_env_runners,
        num_envs_per_env_runner=num_envs_per_env_runner,
        local_mode=local_mode,
        stop=Stop(stop_reward, stop_timesteps, stop_iters, stop_time),
        config_file=config,
        settings=tuple(set_ or ()),
        checkpoint_every=checkpoint_every,
        keep_checkpoints=keep_checkpoints,
        resume=resume,
        results_dir=results_dir,
    )
    # The head of a job takes the options and trains on its nodes.
    start: Callable[[TrainOptions], int] = ctx.obj or run_training
    return start(options)


def main() -> None:
    """Run the command."""
    cli.run(train, "train")

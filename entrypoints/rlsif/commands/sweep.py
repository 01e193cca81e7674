"""`sweep`: search for hyperparameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Optional

import typer

from rlsif.commands import cli
from rlsif.commands.train import ENDS, FILES, TRAINING

SEARCH = "What to try"


def sweep(
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
    config: Annotated[
        Optional[Path],
        typer.Option(help="YAML file of hyperparameters that every trial has.", rich_help_panel=TRAINING),
    ] = None,
    set_: Annotated[
        Optional[list[str]],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One hyperparameter that every trial has. Repeatable.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    seed: Annotated[Optional[int], typer.Option(help="Seed of every trial.", rich_help_panel=TRAINING)] = None,
    grid: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="KEY=A,B", help="Try each of these values: lr=1e-3,3e-4. Repeatable.", rich_help_panel=SEARCH
        ),
    ] = None,
    sample: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="KEY=DISTRIBUTION",
            help="Draw from uniform(a,b), loguniform(a,b), randint(a,b), lograndint(a,b) or choice(a,b,...):"
            " 'gamma=uniform(0.9,0.999)'. Repeatable.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    num_samples: Annotated[
        int, typer.Option(help="How often to draw; with a grid, at each of its points.", rich_help_panel=SEARCH)
    ] = 1,
    scheduler: Annotated[
        Optional[str],
        typer.Option(
            help="asha ends bad trials early; pbt has the worse take over from the better. Default: none.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    cpus_per_trial: Annotated[
        int,
        typer.Option(
            help="Cores of a trial: one for the learner, the rest for env runners. As many trials as fit run at once.",
            rich_help_panel=SEARCH,
        ),
    ] = 1,
    gpus_per_trial: Annotated[
        float, typer.Option(help="GPUs of a trial's learner; 0.5 shares one.", rich_help_panel=SEARCH)
    ] = 0.0,
    stop_reward: Annotated[
        Optional[float],
        typer.Option(help="End a trial at this mean return over its last 100 episodes.", rich_help_panel=ENDS),
    ] = None,
    stop_timesteps: Annotated[
        Optional[int], typer.Option(help="End a trial after so many env steps.", rich_help_panel=ENDS)
    ] = None,
    stop_iters: Annotated[
        Optional[int], typer.Option(help="End a trial after so many iterations.", rich_help_panel=ENDS)
    ] = None,
    stop_time: Annotated[
        Optional[float], typer.Option(help="End a trial after so many seconds of training.", rich_help_panel=ENDS)
    ] = None,
    resume: Annotated[
        Optional[Path], typer.Option(help="Go on with a sweep: its folder.", rich_help_panel=FILES)
    ] = None,
    results_dir: Annotated[
        Path, typer.Option(help="Folder that gets the sweep's folder.", rich_help_panel=FILES)
    ] = Path("~/ray_results"),
) -> int:
    """Search for hyperparameters with Ray Tune: many trainings, the best settings kept as a file.

    [bold]sweep --env CartPole-v1 --grid lr=1e-3,3e-4 --sample 'gamma=uniform(0.9,0.999)' --num-samples 4
    --stop-timesteps 50000[/bold]

    Every trial is a run with the files that `train` makes, for `compare` and `evaluate`. The sweep ends with
    best.yaml, which `train --config` takes.
    """
    from rlsif.sweep.plan import SweepOptions
    from rlsif.sweep.run import sweep as run_sweep
    from rlsif.training.options import TrainOptions
    from rlsif.training.stopping import Stop

    base = TrainOptions(
        env=env,
        env_settings=tuple(env_config or ()),
        algo=algo,
        seed=seed,
        stop=Stop(stop_reward, stop_timesteps, stop_iters, stop_time),
        config_file=config,
        settings=tuple(set_ or ()),
        results_dir=results_dir,
    )
    options = SweepOptions(
        base=base,
        grid=tuple(grid or ()),
        sample=tuple(sample or ()),
        num_samples=num_samples,
        scheduler=scheduler,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        resume=resume,
    )
    # The head of a job takes the options and runs the trials on its nodes.
    start: Callable[[SweepOptions], int] = ctx.obj or run_sweep
    return start(options)


def main() -> None:
    """Run the command."""
    cli.run(sweep, "sweep")

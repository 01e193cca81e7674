"""`sweep`: search for hyperparameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from rlsif.commands import cli, options
from rlsif.commands.options import FILES

if TYPE_CHECKING:
    from rlsif.sweep.plan import SweepOptions

SEARCH = "What to try"


def sweep(
    env: options.ENV = None,
    env_config: options.ENV_CONFIG = None,
    wrap: options.WRAP = None,
    atari: options.ATARI = None,
    policies: options.POLICIES = None,
    train_policies: options.TRAIN_POLICIES = None,
    opponent: options.OPPONENT = None,
    opponent_every: options.OPPONENT_EVERY = None,
    algo: options.ALGO = None,
    config: options.CONFIG = None,
    set_: options.SET = None,
    model: options.MODEL = None,
    seed: options.SEED = None,
    normalize_rewards: options.NORMALIZE_REWARDS = None,
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
        int, typer.Option(help="Number of draws; with a grid, at each of its points.", rich_help_panel=SEARCH)
    ] = 1,
    scheduler: Annotated[
        Optional[str],
        typer.Option(
            help="asha ends bad trials early; pbt copies better trials over worse ones. Default: none.",
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
    env_processes: options.ENV_PROCESSES = None,
    env_timeout: options.ENV_TIMEOUT = 300.0,
    stop_reward: options.STOP_REWARD = None,
    stop_timesteps: options.STOP_TIMESTEPS = None,
    stop_iters: options.STOP_ITERS = None,
    stop_time: options.STOP_TIME = None,
    resume: Annotated[
        Optional[Path], typer.Option(help="Resume a sweep, named by its folder.", rich_help_panel=FILES)
    ] = None,
    results_dir: options.RESULTS_DIR = Path("~/ray_results"),
) -> Any:
    """Search for hyperparameters with Ray Tune: many trainings, the best settings kept as a file.

    [bold]sweep --env CartPole-v1 --grid lr=1e-3,3e-4 --sample 'gamma=uniform(0.9,0.999)' --num-samples 4
    --stop-timesteps 50000[/bold]

    Every trial is a run with the files that `train` makes, for `compare` and `evaluate`. The sweep ends with
    best.yaml, which `train --config` takes.
    """
    from rlsif.sweep.plan import SweepOptions
    from rlsif.training.options import TrainOptions
    from rlsif.training.stopping import Stop

    base = TrainOptions(
        env=env,
        env_settings=tuple(env_config or ()),
        wrap=tuple(wrap or ()),
        atari=atari,
        policies=policies,
        train_policies=train_policies,
        opponent=opponent,
        opponent_every=opponent_every,
        algo=algo,
        seed=seed,
        stop=Stop(stop_reward, stop_timesteps, stop_iters, stop_time),
        config_file=config,
        settings=tuple(set_ or ()),
        network=model,
        env_processes=env_processes,
        normalize_rewards=normalize_rewards,
        env_timeout=env_timeout,
        results_dir=results_dir,
    )
    return SweepOptions(
        base=base,
        grid=tuple(grid or ()),
        sample=tuple(sample or ()),
        num_samples=num_samples,
        scheduler=scheduler,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        resume=resume,
    )


def parse(arguments: list[str] | None = None) -> SweepOptions | int:
    """The options among these arguments, or the command line's; an exit code where nothing is left to do.

    Raises InputError.
    """
    asked: SweepOptions | int = cli.parse(sweep, "sweep", arguments)
    return asked


def main() -> None:
    """Run the command."""
    cli.ends(_run)


def _run() -> int:
    asked = parse()
    if isinstance(asked, int):
        return asked
    from rlsif.sweep.run import sweep as run_sweep

    return run_sweep(asked)

"""`train`: train an agent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from rlsif.commands import cli, options
from rlsif.commands.options import FILES, PROCESSES, TRAINING

if TYPE_CHECKING:
    from rlsif.training.options import TrainOptions


def train(
    env: options.ENV = None,
    env_config: options.ENV_CONFIG = None,
    wrap: options.WRAP = None,
    atari: options.ATARI = None,
    policies: options.POLICIES = None,
    train_policies: options.TRAIN_POLICIES = None,
    opponent: options.OPPONENT = None,
    opponent_every: options.OPPONENT_EVERY = None,
    algo: options.ALGO = None,
    framework: Annotated[
        Optional[str],
        typer.Option(
            help="tf (graph, the default and faster) or tf2 (eager, easier to debug).", rich_help_panel=TRAINING
        ),
    ] = None,
    config: options.CONFIG = None,
    set_: options.SET = None,
    model: options.MODEL = None,
    seed: options.SEED = None,
    normalize_rewards: options.NORMALIZE_REWARDS = None,
    input_: Annotated[
        Optional[Path],
        typer.Option(
            "--input",
            metavar="FOLDER|FILE",
            help="BC, CQL, MARWIL: recorded episodes to learn from, RLlib's *.json, which `evaluate --record` writes,"
            " or a Minari data set.",
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
            help="Cores to plan for: one learner, the rest env runners. Default: all that this process may use.",
            rich_help_panel=PROCESSES,
        ),
    ] = None,
    num_gpus: Annotated[
        Optional[float],
        typer.Option(
            help="GPUs of the learner, at most 1; 0.5 shares one. Needs rl-gpu.sif, --nv. Default: 0; in a job 1, if"
            " the learner's node has a GPU.",
            rich_help_panel=PROCESSES,
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="float32|bf16",
            help="Number format in which hidden layers multiply on the learner's GPU; weights and losses stay float32.",
            rich_help_panel=PROCESSES,
        ),
    ] = "float32",
    num_env_runners: Annotated[
        Optional[int],
        typer.Option(help="Env runners, instead of --num-cpus; 0 lets the learner sample.", rich_help_panel=PROCESSES),
    ] = None,
    num_envs_per_env_runner: Annotated[
        Optional[int],
        typer.Option(
            help="Environments that each env runner steps at once. Default: the preset's.", rich_help_panel=PROCESSES
        ),
    ] = None,
    env_processes: options.ENV_PROCESSES = None,
    local_mode: Annotated[
        bool,
        typer.Option(
            "--local-mode",
            help="Everything in one process: for a debugger, and for exact repetition.",
            rich_help_panel=PROCESSES,
        ),
    ] = False,
    stop_reward: options.STOP_REWARD = None,
    stop_timesteps: options.STOP_TIMESTEPS = None,
    stop_iters: options.STOP_ITERS = None,
    stop_time: options.STOP_TIME = None,
    resume: Annotated[
        Optional[Path],
        typer.Option(
            help="Resume a run, named by its folder or its last checkpoint. Appends to the same files.",
            rich_help_panel=FILES,
        ),
    ] = None,
    env_timeout: options.ENV_TIMEOUT = 300.0,
    evaluate_every: Annotated[
        Optional[int],
        typer.Option(
            help="Iterations between evaluations of the policy by its likeliest actions. Best checkpoint and"
            " --stop-reward then go by them. Default: no evaluation; BC, CQL, MARWIL: 5.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    evaluate_episodes: Annotated[
        Optional[int], typer.Option(help="Episodes of each evaluation. Default: 10.", rich_help_panel=TRAINING)
    ] = None,
    checkpoint_every: Annotated[
        int, typer.Option(help="Iterations between checkpoints; the last is always kept.", rich_help_panel=FILES)
    ] = 10,
    keep_checkpoints: Annotated[
        int, typer.Option(help="Newest checkpoints to keep, beside the best.", rich_help_panel=FILES)
    ] = 3,
    save_replay_buffer: Annotated[
        bool,
        typer.Option(
            "--save-replay-buffer",
            help="DQN, SAC: keep the replay buffer in checkpoints, so that a resumed run learns at once.",
            rich_help_panel=FILES,
        ),
    ] = False,
    log_to: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="wandb|mlflow",
            help="Also log the run to Weights & Biases or MLflow. Needs an image with EXTRAS. Repeatable.",
            rich_help_panel=FILES,
        ),
    ] = None,
    callbacks: Annotated[
        Optional[str],
        typer.Option(
            metavar="FILE.py:CLASS",
            help="Class of your own with methods that are called while the run trains, as on_iteration.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    show: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="COLUMN",
            help="Also show this column of progress.csv during the run, as custom/NAME. Repeatable.",
            rich_help_panel=FILES,
        ),
    ] = None,
    results_dir: options.RESULTS_DIR = Path("~/ray_results"),
) -> Any:
    """Train an agent with RLlib and TensorFlow.

    [bold]train --env CartPole-v1[/bold] trains with PPO on all cores until the environment is solved,
    with a preset where there is one. Whichever --stop comes first ends the run; without
    any, the environment's reward threshold or a million env steps do. Ctrl-C saves a
    checkpoint first; [bold]train --resume RUN_FOLDER[/bold] resumes from it.
    """
    if list_algos:
        from rlsif.commands.list_algos import print_algorithms

        print_algorithms()
        return 0
    from rlsif.training.options import TrainOptions
    from rlsif.training.stopping import Stop

    return TrainOptions(
        env=env,
        env_settings=tuple(env_config or ()),
        wrap=tuple(wrap or ()),
        atari=atari,
        policies=policies,
        train_policies=train_policies,
        opponent=opponent,
        opponent_every=opponent_every,
        algo=algo,
        framework=framework,
        input=input_,
        seed=seed,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        precision=precision,
        num_env_runners=num_env_runners,
        num_envs_per_env_runner=num_envs_per_env_runner,
        env_processes=env_processes,
        normalize_rewards=normalize_rewards,
        local_mode=local_mode,
        stop=Stop(stop_reward, stop_timesteps, stop_iters, stop_time, by_evaluation=evaluate_every is not None),
        config_file=config,
        settings=tuple(set_ or ()),
        network=model,
        env_timeout=env_timeout,
        evaluate_every=evaluate_every,
        evaluate_episodes=evaluate_episodes,
        checkpoint_every=checkpoint_every,
        keep_checkpoints=keep_checkpoints,
        save_replay_buffer=save_replay_buffer,
        resume=resume,
        log_to=tuple(log_to or ()),
        callbacks=callbacks,
        show=tuple(show or ()),
        results_dir=results_dir,
    )


def parse(arguments: list[str] | None = None) -> TrainOptions | int:
    """The options among these arguments, or the command line's; an exit code where nothing is left to do.

    Raises InputError.
    """
    asked: TrainOptions | int = cli.parse(train, "train", arguments)
    return asked


def main() -> None:
    """Run the command."""
    cli.ends(_run)


def _run() -> int:
    asked = parse()
    if isinstance(asked, int):
        return asked
    if asked.local_mode:
        # All is on one core, and which of several threads adds first changes the last bits of a sum. NumPy looks for it
        # when it is imported.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    from rlsif.cluster.ray_node import leave_tensorflow_to_those_who_want_it
    from rlsif.training.run import train as run_train

    if not asked.local_mode:
        # An environment's file may import RLlib, which takes four times as long with TensorFlow.
        leave_tensorflow_to_those_who_want_it()
    return run_train(asked)

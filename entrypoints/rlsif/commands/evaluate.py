"""`evaluate`: how good a trained agent is, in numbers and on video."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Optional

import typer

from rlsif.commands import cli


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN|CHECKPOINT", help="Folder of a run, or of one checkpoint.")],
    episodes: Annotated[int, typer.Option(help="Episodes to play.")] = 20,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic/--stochastic", help="Take the likeliest actions, or draw actions as in training."
        ),
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of the first episode; each next episode adds 1.")] = 0,
    best: Annotated[
        bool, typer.Option("--best", help="Use the checkpoint with the highest mean return. This is the default.")
    ] = False,
    last: Annotated[bool, typer.Option("--last", help="Use the last checkpoint.")] = False,
    checkpoint: Annotated[Optional[int], typer.Option(metavar="N", help="Use the checkpoint of iteration N.")] = None,
    env: Annotated[
        Optional[str],
        typer.Option(help="Where the environment is now, where its module or file was moved: new/place.py:Class."),
    ] = None,
    model: Annotated[
        Optional[str],
        typer.Option(help="Where the run's own network is now, where its file was moved: new/place.py:Class."),
    ] = None,
    video: Annotated[
        Optional[Path], typer.Option(help="Record the first episode in a new .mp4 or .gif file. Needs no display.")
    ] = None,
    record: Annotated[
        Optional[Path],
        typer.Option(
            metavar="FOLDER",
            help="Write the episodes to a file in this folder, in RLlib's JSON format, for `train --algo BC --input`.",
        ),
    ] = None,
    against: Annotated[
        Optional[str],
        typer.Option(
            metavar="RUN|random",
            help="Have another run or checkpoint, or chance, play the other agents, and count who wins. For"
            " environments of many agents; the run plays one of them, another one in each next episode.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with every return and length.")] = False,
) -> int:
    """Play episodes with a trained agent, and print their returns.

    [bold]evaluate ~/ray_results/CartPole-v1/PPO_... --video cartpole.mp4[/bold]
    """
    from json import dumps

    from rlsif.errors import InputError
    from rlsif.evaluation.evaluate import Evaluation
    from rlsif.evaluation.evaluate import evaluate as evaluate_agent
    from rlsif.training import saved

    if best + last + (checkpoint is not None) > 1:
        raise InputError("--best, --last and --checkpoint each name a checkpoint; give one of them")
    which = saved.LAST if last else saved.BEST if checkpoint is None else checkpoint
    asked = Evaluation(run, which, episodes, seed, deterministic, video, env, against, record, model)
    found = evaluate_agent(asked)
    print(dumps(found) if json else _in_words(found))
    return 0


def _in_words(found: dict[str, Any]) -> str:
    from rlsif.envs.reference import EnvRef

    actions = "likeliest actions" if found["deterministic"] else "actions drawn as in training"
    first, last = found["seed"], found["seed"] + found["episodes"] - 1
    over = f"{found['episodes']} episodes, seeds {first} to {last}" if last > first else f"1 episode, seed {first}"
    lines = [
        f"{found['algo']} on {EnvRef(found['env']).short}, checkpoint {found['checkpoint']}",
        f"trained for {found['num_env_steps_sampled_lifetime']:,} env steps; {actions}",
        f"return  mean {found['return_mean']:.1f}  std {found['return_std']:.1f}"
        f"  min {found['return_min']:.1f}  max {found['return_max']:.1f}",
        f"length  mean {found['length_mean']:.1f}  over {over}",
    ]
    agents = found["agents"]
    lines += [f"agent   {name}  mean return {mean:.1f}" for name, mean in agents.items()]
    if found["against"]:
        lines.append(_duel_in_words(found["against"], found["episodes"]))
    custom = found["custom"]
    lines += [
        f"{name}  mean {custom[name]:.4g}  min {custom[f'{name}_min']:.4g}  max {custom[f'{name}_max']:.4g}"
        for name in custom
        if f"{name}_min" in custom
    ]
    if found["video"]:
        lines.append(f"video   {found['video']}, the episode of seed {found['seed']}")
    if found["record"]:
        lines.append(
            f"record  {found['record']}, for `train --algo BC --input {quote(str(Path(found['record']).parent))}`"
        )
    return "\n".join(lines)


def _duel_in_words(found: dict[str, Any], episodes: int) -> str:
    from rlsif.errors import counted

    if found["win_rate"] is None:
        return f"against {found['opponent']}: in none of {episodes} episodes both took part"
    low, high = found["win_rate_interval"]
    met = found["wins"] + found["draws"] + found["losses"]
    those = "" if met == episodes else f"the {met} in which both took part, of "
    return (
        f"against {found['opponent']}: won {found['wins']}, drew {found['draws']} and lost {found['losses']}"
        f" of {those}{counted(episodes, 'episode')}; win rate {found['win_rate']:.2f},"
        f" 95% interval {low:.2f} to {high:.2f}; mean return {found['return_mean']:.1f}"
    )


def main() -> None:
    """Run the command."""
    cli.run(evaluate, "evaluate")

"""Draw the README's pictures from a run: the terminal as it looked at the end, and the learning curve.

Usage: apptainer exec rl.sif python bench/pictures.py RUN_FOLDER DOCS_FOLDER
"""

import io
import json
import re
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from rich.console import Console

from rlsif.training.display import LiveTable
from rlsif.training.results import read_rows
from rlsif.training.stopping import Stop

THRESHOLD = 475


def terminal(run: Path, picture: Path) -> None:
    """The live table of the run's last iteration, as SVG."""
    summary, rows = json.loads((run / "summary.json").read_text()), read_rows(run)
    used = summary["resources"]
    table = LiveTable(io.StringIO())
    resources = (
        f"{used['num_cpus']}/{used['num_cpus']} CPUs, 0/0 GPUs (1 learner, {used['num_env_runners']} env runner)"
    )
    table.start(
        f"{summary['algo']} ({summary['framework']}) on {summary['env']}",
        resources,
        f"~/ray_results/{run.parent.name}/{run.name}",
        Stop(reward=THRESHOLD),
    )
    table.row(rows[-1])
    shown = table.renderable
    table.close()
    console = Console(record=True, width=100, file=io.StringIO(), highlight=False)
    console.print("$ apptainer exec rl.sif train --env CartPole-v1 --stop-reward 475", style="bold")
    console.print(shown)
    console.print(
        f"done: mean return {summary['episode_return_mean']:.1f} after {summary['env_steps']:,} env steps"
        f" in {summary['time_total_s']:.1f} s",
    )
    # rich's own template fetches a font from a web server.
    picture.write_text(re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="train"), flags=re.S))


def learning_curve(run: Path, picture: Path) -> None:
    """Mean return over 100 episodes against env steps, as SVG."""
    rows = read_rows(run)
    steps = [row["num_env_steps_sampled_lifetime"] for row in rows]
    mpl.rcParams["svg.hashsalt"] = "rlsif"
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    axes.plot(steps, [row["env_runners/episode_return_mean"] for row in rows], label="mean of the last 100 episodes")
    axes.axhline(THRESHOLD, color="0.6", linestyle="--", linewidth=1, label=f"solved: {THRESHOLD}")
    axes.set(
        xlabel="env steps", ylabel="return", title=f"PPO on CartPole-v1, {rows[-1]['time_total_s']:.0f} s on 2 cores"
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(picture, metadata={"Date": None})


def main(run: Path, docs: Path) -> None:
    """Draw both."""
    terminal(run, docs / "terminal.svg")
    learning_curve(run, docs / "cartpole.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

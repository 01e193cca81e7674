"""Draw the README's picture of a terminal from a run, as it looked at the end.

Usage: apptainer exec rl.sif python bench/terminal.py RUN_FOLDER docs/terminal.svg
Learning curves are drawn by `compare`.
"""

import io
import json
import re
import sys
from pathlib import Path

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


if __name__ == "__main__":
    terminal(Path(sys.argv[1]), Path(sys.argv[2]))

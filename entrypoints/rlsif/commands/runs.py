"""`runs`: the runs of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rlsif.commands import cli


def runs(
    folder: Annotated[Path, typer.Argument(help="Results folder, or a folder above it.")] = Path("~/ray_results"),
    json: Annotated[bool, typer.Option("--json", help="Print the summaries as one JSON list.")] = False,
) -> int:
    """List the runs of a results folder, oldest first: algorithm, environment, return, env steps, state."""
    from json import dumps

    from rlsif.runs import table
    from rlsif.runs.record import runs_below

    found = runs_below(folder)
    if json:
        print(dumps([{"run_dir": str(run.folder), "state": run.state, **run.summary} for run in found], indent=1))
    else:
        print(table.of_runs(found) if found else f"no run in {folder.expanduser().absolute()} yet")
    return 0


def main() -> None:
    """Run the command."""
    cli.run(runs, "runs")

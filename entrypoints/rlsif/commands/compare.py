"""`compare`: learning curves of several runs, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from rlsif.commands import cli


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    out: Annotated[
        Optional[Path],
        typer.Option(help="Write a picture to name.png or name.svg; a name with neither ending gives both."),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Draw the curves as text. This is the default on a terminal.")
    ] = False,
    column: Annotated[
        Optional[str],
        typer.Option(
            help="Column of progress.csv to draw. Default: the mean return; with BC, CQL or MARWIL among the runs, that"
            " of the evaluations."
        ),
    ] = None,
) -> int:
    """Compare runs: a table, and learning curves against env steps and against time.

    Runs that differ only in their seed become one mean, with a band from the minimum to the maximum.

    [bold]compare ~/ray_results/CartPole-v1/* --out cartpole[/bold]
    """
    from rlsif.runs import curves
    from rlsif.runs.record import SECONDS, STEPS, read

    read_runs = [read(folder) for folder in runs]
    y = column or curves.return_column(read_runs)
    curves.check_column(read_runs, y)
    groups = curves.grouped(read_runs)
    print(curves.table(groups, y))
    if text or (out is None and sys.stdout.isatty()):
        for x in (STEPS, SECONDS):
            print(f"\n{curves.text(groups, y, x, sys.stdout.isatty())}")
    for path in curves.draw(groups, y, out.expanduser().absolute()) if out else []:
        print(path)
    return 0


def main() -> None:
    """Run the command."""
    cli.run(compare, "compare")

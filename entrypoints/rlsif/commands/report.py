"""`report`: one HTML file about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from rlsif.commands import cli


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    out: Annotated[
        Optional[Path], typer.Option(help="File to write. Default: report.html in the run's folder.")
    ] = None,
) -> int:
    """Write one HTML file with a run's curves, settings, resources, timeline and versions.

    The file contains its pictures and opens in any browser, without a network.
    """
    from rlsif.runs.record import read
    from rlsif.runs.report import write

    read_run = read(run)
    path = (out or read_run.folder / "report.html").expanduser().absolute()
    write(read_run, path)
    print(path)
    return 0


def main() -> None:
    """Run the command."""
    cli.run(report, "report")

"""Tables of runs, for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlsif.runs.record import SECONDS, STEPS, Run

NONE = "-"


def number(value: float | None, decimals: int = 0) -> str:
    """A number as a table has it."""
    return NONE if value is None else f"{value:,.{decimals}f}"


def rounded(value: Any) -> str:
    """A setting as a table has it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lines of columns; what begins with a digit or is no value stands right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = [all(row[column][:1] in "-0123456789" for row in rows[1:]) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at_right else cell.ljust(width) for cell, width, at_right in zip(row, widths, right)
        ).rstrip()
        for row in rows
    )


def of_runs(runs: Sequence[Run]) -> str:
    """A line a run, with its folder."""
    head = ("algo", "env", "return", "env steps", "time s", "state", "run")
    return aligned([head, *(_line(run) for run in runs)])


def _line(run: Run) -> tuple[str, ...]:
    return (
        run.spec.algo,
        run.env,
        number(run.last(run.return_column), 1),
        number(run.last(STEPS)),
        number(run.last(SECONDS), 1),
        run.state,
        str(run.folder),
    )

"""Learning curves of several runs: those that differ by their seed alone as one mean with a band."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.errors import InputError, near
from rlsif.runs.record import EVALUATED, RETURN, SECONDS, STEPS, Run
from rlsif.runs.table import aligned, number

Array = NDArray[np.float64]
# Points of a mean over several runs.
POINTS = 200
IN_WORDS = {
    RETURN: "mean return of the last 100 episodes",
    EVALUATED: "mean return of an evaluation",
    STEPS: "env steps",
    SECONDS: "seconds of training",
}
# Of text, in characters.
WIDTH, HEIGHT = 100, 20
MARKERS = ("braille", "*", "o", "x", "+", "#")


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed alone."""

    label: str
    runs: list[Run]


@dataclass(frozen=True)
class Curve:
    """A mean over runs, [points] each, with the least and the greatest of them."""

    x: Array
    mean: Array
    low: Array
    high: Array


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Put runs of equal settings together, and call each group by what it differs in from others."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(repr(sorted(run.settings.items(), key=str)), []).append(run)
    settings = [members[0].settings for members in groups.values()]
    differing = _differing(settings)
    labels = []
    for members, each in zip(groups.values(), settings):
        told = [f"{name}={each[name]}" for name in differing if name in each]
        labels.append(", ".join(told) or f"{members[0].spec.algo} on {members[0].env}")
    return [Group(label, members) for label, members in zip(labels, groups.values())]


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of what tells settings apart; of those that tell the same apart, the first."""
    told_apart: dict[tuple[int, ...], str] = {}
    for name in dict.fromkeys(name for each in settings for name in each):
        values = [repr(each.get(name)) for each in settings]
        told_apart.setdefault(tuple(values.index(value) for value in values), name)
    return [name for pattern, name in told_apart.items() if any(pattern)]


def check_column(runs: Sequence[Run], column: str) -> None:
    """Refuse a column that one of the runs does not have. Raises InputError."""
    for run in runs:
        if not run.rows:
            raise InputError(f"run {run.folder} has no iteration yet; compare it when it has")
    for run in runs:
        if not any(row.get(column) is not None for row in run.rows):
            if column == RETURN:
                raise InputError(
                    f"no episode has ended in run {run.folder} yet, so that it has no mean return;"
                    " --column names another column of progress.csv"
                )
            if column == EVALUATED:
                raise InputError(
                    f"run {run.folder} has no evaluation to compare with; a run on recorded episodes has no"
                    " other returns; train it with --evaluate-every, or name another column of progress.csv by --column"
                )
            common = set.intersection(*({name for row in r.rows for name in row} for r in runs))
            hint = near(column, common) or f"; columns of all these runs are {', '.join(sorted(common)[:6])}, ..."
            raise InputError(f"run {run.folder} has no values of {column!r}{hint}")


def return_column(runs: Sequence[Run]) -> str:
    """Where the mean returns of runs are: those of evaluations where one of them samples nothing."""
    return EVALUATED if any(run.spec.input for run in runs) else RETURN


def curve(runs: Sequence[Run], x: str, y: str) -> Curve:
    """The mean over runs, as far as all of them go."""
    series = [tuple(np.array(values) for values in run.series(x, y)) for run in runs]
    if len(series) == 1:
        [(xs, ys)] = series
        return Curve(xs, ys, ys, ys)
    points = np.linspace(max(xs[0] for xs, _ in series), min(xs[-1] for xs, _ in series), POINTS)
    values = np.array([np.interp(points, xs, ys) for xs, ys in series])
    return Curve(points, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def table(groups: Sequence[Group], column: str = RETURN) -> str:
    """A line a group: medians over its runs."""
    name = "return" if column in (RETURN, EVALUATED) else column.rsplit("/", 1)[-1]
    head = ("runs of", "runs", name, "best", "env steps", "time s", "steps/s")
    return aligned([head, *(_line(group, column) for group in groups)])


def _line(group: Group, column: str) -> tuple[str, ...]:
    def median(name: str) -> float:
        return statistics.median(run.last(name) or 0.0 for run in group.runs)

    best = statistics.median(max(run.series(STEPS, column)[1]) for run in group.runs)
    decimals = 1 if abs(best) >= 10 else 4
    return (
        group.label,
        str(len(group.runs)),
        number(median(column), decimals),
        number(best, decimals),
        number(median(STEPS)),
        number(median(SECONDS), 1),
        number(median(STEPS) / median(SECONDS)),
    )


def figure(groups: Sequence[Group], column: str = RETURN, x: Sequence[str] = (STEPS, SECONDS)) -> Any:
    """A matplotlib figure with a panel for each of the columns in `x`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Words in an SVG stay words.
    mpl.rcParams["svg.fonttype"] = "none"
    drawn = Figure(figsize=(5.2 * len(x), 4.2), layout="constrained")
    panels = drawn.subplots(1, len(x), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, x):
        for number_, group in enumerate(groups):
            color = f"C{number_ % 10}"
            mean = curve(group.runs, name, column)
            several = f" ({len(group.runs)} runs)" if len(group.runs) > 1 else ""
            panel.plot(mean.x, mean.mean, color=color, label=f"{group.label}{several}")
            panel.fill_between(mean.x, mean.low, mean.high, color=color, alpha=0.2, linewidth=0)
        panel.set_xlabel(IN_WORDS.get(name, name))
        panel.xaxis.set_major_formatter(thousands)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(IN_WORDS.get(column, column))
    drawn.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(3, len(groups)), frameon=False
    )
    return drawn


def thousands(value: float, _: int) -> str:
    """A number on an axis."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:g}"


def draw(groups: Sequence[Group], column: str, out: Path) -> list[Path]:
    """Draw a picture; a name without .png or .svg gets both. Raises InputError where it cannot be written."""
    kinds = [out.suffix] if out.suffix in (".png", ".svg") else [".png", ".svg"]
    stem = out.with_suffix("") if out.suffix in (".png", ".svg") else out
    paths = [stem.with_name(f"{stem.name}{kind}") for kind in kinds]
    picture = figure(groups, column)
    for path in paths:
        partial = path.with_name(f".{path.stem}.partial{path.suffix}")
        try:
            # No date, so that equal runs make equal files.
            picture.savefig(partial, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
            partial.replace(path)
        except OSError as problem:
            partial.unlink(missing_ok=True)
            raise InputError(f"--out {out} cannot be written: {problem.strerror}") from problem
    return paths


def text(groups: Sequence[Group], column: str, x: str, colors: bool) -> str:
    """The curves in characters."""
    import plotext

    drawn = plotext.figure
    drawn.clear()
    for marker, group in zip(MARKERS * len(groups), groups):
        mean = curve(group.runs, x, column)
        line = drawn.signal(mean.x.tolist(), mean.mean.tolist(), marker=marker)
        line.lines().label(group.label)
        drawn.draw(line)
    drawn.legend(True)
    drawn.plot_size(WIDTH, HEIGHT)
    drawn.label(IN_WORDS.get(x, x), "x")
    drawn.title(IN_WORDS.get(column, column))
    return str(drawn.build().string(not colors))

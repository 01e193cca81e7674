"""What the user sees of a run: a live table on a terminal, one line an iteration in a log."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol

from rlsif.errors import counted
from rlsif.training.stopping import Stop

# In a log, of an iteration that takes long.
SECONDS_BETWEEN_LINES = 60.0


class Display(Protocol):
    """Shows a run as it goes."""

    def start(self, heading: str, resources: str, folder: str, stop: Stop) -> None:
        """Say what is about to run."""

    def row(self, row: Mapping[str, Any]) -> None:
        """Show an iteration."""

    def progress(self, text: str) -> None:
        """Show how far an iteration is that takes long."""

    def note(self, text: str) -> None:
        """Say something that is not an iteration."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def display_for(stream: IO[str], show: Sequence[str] = ()) -> Display:
    """A live table where the stream is a terminal, else plain lines; with the columns that are to be shown, too."""
    return LiveTable(stream, show) if stream.isatty() else PlainLines(stream, show)


class PlainLines:
    """One line an iteration."""

    def __init__(self, stream: IO[str], show: Sequence[str] = ()) -> None:
        """Write to this stream; `show` names columns to add."""
        self._stream, self._show = stream, show
        self._progress_at = time.monotonic()

    def start(self, heading: str, resources: str, folder: str, stop: Stop) -> None:
        """Say what is about to run."""
        self.note(heading)
        self.note(f"resources: {resources}")
        self.note(f"stops at {stop}")
        self.note(f"run folder: {folder}")

    def row(self, row: Mapping[str, Any]) -> None:
        """Write the iteration's line."""
        self._progress_at = time.monotonic()
        self.note(
            f"iter {row['training_iteration']:>4}  "
            f"steps {row['num_env_steps_sampled_lifetime']:>9,}  "
            f"{row['env_steps_per_s']:>7,.0f} steps/s  "
            f"{_episodes(row)}"
            f"time {row['time_total_s']:>6.1f} s"
            + "".join(f"  {name} {_any_number(row.get(name))}" for name in self._show)
        )
        if evaluated(row):
            self.note(f"evaluation: {evaluated(row)}")

    def progress(self, text: str) -> None:
        """Write a line a minute."""
        now = time.monotonic()
        if now - self._progress_at >= SECONDS_BETWEEN_LINES:
            self._progress_at = now
            self.note(text)

    def note(self, text: str) -> None:
        """Write a line."""
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing is left to do."""


class LiveTable:
    """A table that is drawn anew in place."""

    def __init__(self, stream: IO[str], show: Sequence[str] = ()) -> None:
        """Draw on this terminal; `show` names columns to add."""
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream)
        self._live = Live(console=self._console, refresh_per_second=4, transient=False)
        self._heading: list[tuple[str, str]] = []
        self._stop = Stop()
        self._lines: list[tuple[str, str]] = []
        self._share = 0.0
        self._show = show
        self._evaluated = ""

    def start(self, heading: str, resources: str, folder: str, stop: Stop) -> None:
        """Show the table with nothing in it yet."""
        self._stop = stop
        self._title = heading
        self._heading = [("resources", resources), ("stops at", str(stop)), ("run folder", folder)]
        self._live.start()
        self._draw([("state", "starting Ray and building the algorithm")], 0.0)

    def row(self, row: Mapping[str, Any]) -> None:
        """Show the iteration."""
        lines = [
            ("iteration", f"{row['training_iteration']:,}"),
            ("env steps", f"{row['num_env_steps_sampled_lifetime']:,}"),
            ("steps/s", f"{row['env_steps_per_s']:,.0f}"),
            *_episode_lines(row),
            ("time", f"{row['time_total_s']:.1f} s"),
            *((name, _any_number(row.get(name))) for name in self._show),
        ]
        self._evaluated = evaluated(row) or self._evaluated
        if self._evaluated:
            lines.append(("evaluation", self._evaluated))
        self._lines, self._share = lines, self._stop.progress(row)
        self._draw(lines, self._share)

    def progress(self, text: str) -> None:
        """Show it below the last iteration."""
        self._draw([*self._lines, ("this iteration", text)], self._share)

    def _draw(self, lines: list[tuple[str, str]], share: float) -> None:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table(title=self._title, title_justify="left", title_style="bold", show_header=False, box=None)
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in lines:
            table.add_row(name, value)
        table.add_row("progress", ProgressBar(total=1.0, completed=share, width=40))
        for name, value in self._heading:
            table.add_row(name, value)
        self._live.update(table, refresh=True)

    @property
    def renderable(self) -> Any:
        """The table as it is now, for rich."""
        return self._live.get_renderable()

    def note(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the last table on the screen."""
        self._live.stop()


def _any_number(value: float | None) -> str:
    """A number of any size."""
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _episodes(row: Mapping[str, Any]) -> str:
    """The last episodes in a line; nothing of a run that samples none."""
    if "episodes_in_mean" not in row:
        return ""
    mean, low, high = (_number(row[f"env_runners/episode_return_{name}"]) for name in ("mean", "min", "max"))
    return f"return {mean:>7} ({low} to {high})  length {_number(row['env_runners/episode_len_mean']):>6}  "


def _episode_lines(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The last episodes for the table; nothing of a run that samples none."""
    if "episodes_in_mean" not in row:
        return []
    mean, low, high = (_number(row[f"env_runners/episode_return_{name}"]) for name in ("mean", "min", "max"))
    return [
        ("return", f"{mean}  (min {low}, max {high}, last {counted(row['episodes_in_mean'], 'episode')})"),
        ("episode length", _number(row["env_runners/episode_len_mean"])),
    ]


def evaluated(row: Mapping[str, Any]) -> str:
    """The evaluation of a row in words; empty where there is none."""
    if "evaluation/episodes" not in row:
        return ""
    mean, low, high = (_number(row[f"evaluation/episode_return_{name}"]) for name in ("mean", "min", "max"))
    iteration, episodes = row["evaluation/training_iteration"], row["evaluation/episodes"]
    return f"return {mean} ({low} to {high}) over {counted(episodes, 'episode')}, after iteration {iteration}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"

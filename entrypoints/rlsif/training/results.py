"""The files of a run in its folder, as RLlib's users know them."""

from __future__ import annotations

import csv
import io
import json
import math
import secrets
import statistics
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rlsif.envs.reference import EnvRef
from rlsif.errors import InputError
from rlsif.files import append, replace
from rlsif.training.checkpoints import Progress
from rlsif.training.events import Events
from rlsif.training.stopping import WINDOW

PARAMS, PROGRESS, RESULT, SUMMARY = "params.json", "progress.csv", "result.json", "summary.json"
LOG, CHECKPOINTS = "train.log", "checkpoints"
# How the columns begin that a user's own numbers have, and what each of many agents got, and an agent of each policy.
CUSTOM, OF_AGENT, OF_POLICY = "custom/", "agent_return/", "policy_return/"
# Of episodes against an opponent.
WIN_RATE = "win_rate"


def new_folder(results: Path, algo: str, env: EnvRef) -> Path:
    """Make <results>/<env>/<ALGO>_<env>_<date>_<id>. Raises InputError where that cannot be written."""
    name = f"{algo}_{env.file_name}_{datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(3)}"
    folder = results.expanduser().absolute() / env.file_name / name
    try:
        folder.mkdir(parents=True)
    except OSError as problem:
        raise InputError(f"--results-dir {results} cannot be written: {problem.strerror}; give another") from problem
    return folder


class Row:
    """Makes rows of progress from what an iteration returned, and remembers the last 100 episodes."""

    def __init__(self, progress: Progress | None) -> None:
        """Start anew, or where a checkpoint left off."""
        self.returns: deque[float] = deque(progress.returns if progress else [], maxlen=WINDOW)
        self.lengths: deque[int] = deque(progress.lengths if progress else [], maxlen=WINDOW)
        self.iteration = progress.training_iteration if progress else 0
        self.env_steps = progress.num_env_steps_sampled_lifetime if progress else 0
        self.time_total_s = progress.time_total_s if progress else 0.0
        self.episodes = len(self.returns)

    def add(self, iteration: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Count an iteration that took so many seconds, and give its row."""
        self.returns.extend(iteration.get("returns", ()))
        self.lengths.extend(iteration.get("lengths", ()))
        self.iteration += 1
        self.time_total_s += seconds
        steps = iteration["num_env_steps_sampled_lifetime"] - self.env_steps
        self.env_steps += steps
        return {
            "training_iteration": self.iteration,
            "num_env_steps_sampled_lifetime": self.env_steps,
            **self._sampled(iteration),
            "num_env_steps_sampled_this_iter": steps,
            "env_steps_per_s": steps / seconds,
            "time_this_iter_s": seconds,
            "time_total_s": self.time_total_s,
            "timestamp": round(time.time(), 3),
            **_evaluation(iteration.get("evaluation")),
            **iteration["statistics"],
            **{f"{CUSTOM}{name}": value for name, value in own_numbers(iteration.get("metrics", [])).items()},
            **_agents(iteration),
        }

    def _sampled(self, iteration: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of episodes and env runners; none where nothing is sampled."""
        if "returns" not in iteration:
            return {}
        return {
            "env_runners/episode_return_mean": _mean(self.returns),
            "env_runners/episode_return_min": min(self.returns, default=None),
            "env_runners/episode_return_max": max(self.returns, default=None),
            "env_runners/episode_len_mean": _mean(self.lengths),
            "env_runners/episodes_this_iter": len(iteration["returns"]),
            "env_runners/env_time_share": iteration.get("env_time_share"),
            "episodes_in_mean": len(self.returns),
            "num_healthy_workers": iteration["num_healthy_workers"],
        }


def means(episodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number over the episodes that have it."""
    return {name: statistics.fmean(values) for name, values in _by_name(episodes).items()}


def _by_name(episodes: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    given: dict[str, list[float]] = {}
    for name, value in ((name, value) for each in episodes for name, value in each.items()):
        given.setdefault(name, []).append(value)
    return given


def own_numbers(episodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """A user's own numbers of the episodes of an iteration: mean, min and max of each that has a value."""
    given = _by_name(episodes)
    ends = {f"{name}_{end.__name__}": end(values) for name, values in given.items() for end in (min, max)}
    # A name of the user's own wins over one that is made here.
    return {**ends, **means(episodes)}


def _agents(iteration: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an environment of many agents; none of others."""
    steps = iteration.get("num_agent_steps_sampled_lifetime")
    if steps is None:
        return {}
    returns = {f"{OF_AGENT}{name}": mean for name, mean in means(iteration["agents"]).items()}
    policies = {f"{OF_POLICY}{name}": mean for name, mean in _of_policies(iteration).items()}
    won = iteration.get("won")
    share = {WIN_RATE: statistics.fmean(won)} if won else {}
    return {"num_agent_steps_sampled_lifetime": steps, **share, **returns, **policies}


def _of_policies(iteration: Mapping[str, Any]) -> dict[str, float]:
    """The mean return of an agent of each policy, where there are several, over the episodes with one of its agents."""
    found = {}
    for name, agents in iteration.get("policies", {}).items():
        returns = [total for each in iteration["agents"] for agent, total in each.items() if agent in agents]
        if returns:
            found[name] = statistics.fmean(returns)
    return found


def mean_return(ended: Mapping[str, Any]) -> float | None:
    """That of an evaluation; None where the run's agents took part in none of its episodes."""
    return statistics.fmean(ended["returns"]) if ended["returns"] else None


def _evaluation(ended: Mapping[str, Any] | None) -> dict[str, Any]:
    """The columns of an evaluation; none where none ended."""
    if ended is None:
        return {}
    returns, lengths = ended["returns"], ended["lengths"]
    return {
        "evaluation/training_iteration": ended["iteration"],
        "evaluation/episode_return_mean": mean_return(ended),
        "evaluation/episode_return_min": min(returns, default=None),
        "evaluation/episode_return_max": max(returns, default=None),
        "evaluation/episode_len_mean": statistics.fmean(lengths),
        "evaluation/episodes": len(returns),
        **({f"evaluation/{WIN_RATE}": ended[WIN_RATE]} if WIN_RATE in ended else {}),
        "evaluation/time_s": ended["seconds"],
    }


class RunFiles:
    """Writes progress.csv, result.json and TensorBoard events row by row, and summary.json at the end."""

    def __init__(self, folder: Path, resumed_at: int = 0) -> None:
        """Open the files of a folder; rows after the iteration that a run resumes at are taken out."""
        self.folder = folder
        self.columns: list[str] = []
        self._unwritten: list[dict[str, Any]] = []
        self._table_is_behind = False
        if resumed_at:
            self._take_back(resumed_at)
        self._events = Events(folder, resumed_at)

    def _take_back(self, iteration: int) -> None:
        rows = [row for row in read_rows(self.folder) if row["training_iteration"] <= iteration]
        # A row may lack columns that others have: APPO has none of its learner before the first update.
        self.columns = list(dict.fromkeys(name for row in rows for name in row))
        replace(self.folder / RESULT, "".join(json.dumps(row) + "\n" for row in rows))
        self._rewrite_table(rows)

    def _rewrite_table(self, rows: list[dict[str, Any]]) -> None:
        header = {name: name for name in self.columns}
        replace(self.folder / PROGRESS, _csv_lines(self.columns, [header, *rows]))

    def write_params(self, params: Mapping[str, Any]) -> None:
        """Write params.json."""
        replace(self.folder / PARAMS, json.dumps(params, indent=2, default=str))

    def write_row(self, row: Mapping[str, Any]) -> None:
        """Add a row to every file. Raises OSError where the disk refuses; the next row brings it along."""
        self._unwritten.append(_finite(row))
        self._events.add(row)
        append(self.folder / RESULT, "".join(json.dumps(r) + "\n" for r in self._unwritten).encode())
        rows, self._unwritten = self._unwritten, []
        new = [name for r in rows for name in r if name not in self.columns]
        # A column that comes up later belongs in the header; a table that missed a row is written anew, too.
        if new or self._table_is_behind:
            self.columns += dict.fromkeys(new)
            self._table_is_behind = True
            self._rewrite_table(read_rows(self.folder))
        else:
            self._table_is_behind = True
            append(self.folder / PROGRESS, _csv_lines(self.columns, rows).encode())
        self._table_is_behind = False

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json."""
        replace(self.folder / SUMMARY, json.dumps(summary, indent=2) + "\n")


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's result.json; a last line that was cut short by a crash is left out."""
    path = folder / RESULT
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _csv_lines(columns: list[str], rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as JSON can hold it, which has no nan and no infinity."""
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}


def _mean(values: deque[float] | deque[int]) -> float | None:
    return statistics.fmean(values) if values else None

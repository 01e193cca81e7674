"""A run as its folder tells it, while it runs or after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsif.errors import InputError
from rlsif.learning.spec import ManyPolicies, RunSpec
from rlsif.training import results, saved

RETURN, STEPS, SECONDS = "env_runners/episode_return_mean", "num_env_steps_sampled_lifetime", "time_total_s"
# The mean return of an evaluation: of what samples nothing, the only one.
EVALUATED = "evaluation/episode_return_mean"
# Of a run that has not said how it ended: it still runs, or was killed.
NO_END = "no end yet"


@dataclass(frozen=True)
class Run:
    """One run: what was trained, on what, and every iteration."""

    folder: Path
    spec: RunSpec
    params: Mapping[str, Any]
    summary: Mapping[str, Any]
    rows: list[dict[str, Any]]

    @property
    def env(self) -> str:
        """The environment's name, without the module or file that it is from."""
        return self.spec.env.short

    @property
    def state(self) -> str:
        """How it ended: finished, interrupted, failed, or NO_END."""
        return str(self.summary.get("state", NO_END))

    @property
    def return_column(self) -> str:
        """Where its mean returns are."""
        return EVALUATED if self.spec.input else RETURN

    def last(self, column: str) -> float | None:
        """The newest value of a column; None where there is none."""
        values = (row.get(column) for row in reversed(self.rows))
        return next((float(value) for value in values if value is not None), None)

    def series(self, x: str, y: str) -> tuple[list[float], list[float]]:
        """Two columns, where both have a value."""
        pairs = [(row[x], row[y]) for row in self.rows if row.get(x) is not None and row.get(y) is not None]
        return [float(a) for a, _ in pairs], [float(b) for _, b in pairs]

    @property
    def settings(self) -> dict[str, Any]:
        """All that could make this run another than the next, by dotted names; without the seed."""
        spec = self.spec
        given = {"algo": spec.algo, "env": self.env, "framework": spec.framework}
        options = {
            "wrap": ", ".join(map(str, spec.env.wrappers)),
            "input": spec.input,
            "model": spec.network,
            "normalize_rewards": spec.normalize_rewards,
            "opponent": spec.opponent,
            "opponent_every": spec.opponent and spec.opponent_every,
        }
        return {
            **given,
            **flat(spec.env.arguments, "env_config."),
            **{name: value for name, value in options.items() if value},
            **_policies(spec.policies),
            **flat(spec.hyperparameters),
            **flat(self.params.get("resources", {})),
        }


def _policies(policies: ManyPolicies | None) -> dict[str, str]:
    """Which policy acts for which agent, and which learn; nothing where all share one."""
    if policies is None:
        return {}
    learn = {"train_policies": ", ".join(policies.some_learn)} if policies.some_learn else {}
    return {**{f"policies.{agent}": name for agent, name in policies.of_agents.items()}, **learn}


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return found


def read(folder: Path) -> Run:
    """Read a run's folder. Raises InputError where it is none."""
    folder = folder.expanduser().absolute()
    if not saved.is_run(folder):
        what = "is not a run's folder" if folder.exists() else "is not there"
        raise InputError(f"run {folder} {what}; `runs` lists those of ~/ray_results, `runs FOLDER` those of another")
    spec = saved.spec_of(folder)
    summary = folder / results.SUMMARY
    return Run(
        folder,
        spec,
        json.loads((folder / results.PARAMS).read_text()),
        json.loads(summary.read_text()) if summary.is_file() else {},
        results.read_rows(folder),
    )


def runs_below(folder: Path) -> list[Run]:
    """The runs in a results folder, however deep, oldest first. Raises InputError where there is no such folder."""
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"there is no results folder {folder}; `train` makes one, or give the --results-dir it had")
    found = sorted(folder.glob(f"**/{results.PARAMS}"), key=lambda path: path.stat().st_mtime)
    return [read(path.parent) for path in found if _is_ours(path)]


def _is_ours(params: Path) -> bool:
    """Other programs write a params.json, too."""
    try:
        return "run" in json.loads(params.read_text())
    except (OSError, ValueError):
        return False

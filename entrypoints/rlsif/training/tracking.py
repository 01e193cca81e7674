"""Runs told to Weights & Biases or MLflow, through Ray's own integrations; off unless it is asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from rlsif.errors import InputError, near

# A service's package may also end the process.
FAILURES = (Exception, SystemExit)


class Service(NamedTuple):
    """A run at one of them: how a row is told, and how it ends."""

    log: Callable[[Mapping[str, float], int], None]
    end: Callable[[], None]


def check(names: Iterable[str]) -> None:
    """Refuse a service that there is not, or whose package this image does not have. Raises InputError."""
    for name in names:
        if name not in SERVICES:
            raise InputError(f"--log-to is {name!r}; it must be {' or '.join(SERVICES)}{near(name, SERVICES)}")
        if find_spec(name) is None:
            raise InputError(
                f"--log-to {name} needs the package {name}, which this image does not have;"
                f" build one that has it: make image-cpu EXTRAS={name}"
            )


class Tracking:
    """Tells every row to the services. One that fails on the way is left out; the run continues."""

    def __init__(self, names: Iterable[str], settings: Mapping[str, Any], env: str, folder: Path) -> None:
        """Begin a run at each, with the settings of this one. Raises InputError where one cannot be reached."""
        self._services: dict[str, Service] = {}
        for name in names:
            try:
                self._services[name] = SERVICES[name](dict(settings), env, folder)
            except FAILURES as problem:
                said = " ".join(str(problem).split())[:300]
                raise InputError(f"--log-to {name} cannot begin a run: {said}") from problem

    def log(self, row: Mapping[str, Any]) -> None:
        """Tell a row of progress."""
        numbers = {name: float(v) for name, v in row.items() if v is not None and math.isfinite(v)}
        for name, service in list(self._services.items()):
            try:
                service.log(numbers, int(row["training_iteration"]))
            except FAILURES as problem:
                # Goes to train.log.
                print(f"--log-to {name} failed and is left out: {problem}")
                del self._services[name]

    def end(self) -> None:
        """End the run at each."""
        for name, service in self._services.items():
            try:
                service.end()
            except FAILURES as problem:
                # Goes to train.log; the run is over, and its own files say how.
                print(f"--log-to {name} failed at the end of the run: {problem}")


def _wandb(settings: dict[str, Any], env: str, folder: Path) -> Service:
    from ray.air.integrations.wandb import setup_wandb

    run = setup_wandb(
        settings, rank_zero_only=False, project=env.replace("/", "_"), trial_id=folder.name, trial_name=folder.name,
        dir=str(folder),
    )  # fmt: skip
    return Service(lambda row, step: run.log(dict(row), step=step), run.finish)


def _mlflow(settings: dict[str, Any], env: str, folder: Path) -> Service:
    from ray.air.integrations.mlflow import setup_mlflow

    mlflow = setup_mlflow(
        settings, experiment_name=env, run_name=folder.name, create_experiment_if_not_exists=True, rank_zero_only=False
    )

    def log(row: Mapping[str, float], step: int) -> None:
        # It refuses other characters, which a user's own numbers may have.
        mlflow.log_metrics({re.sub(r"[^\w.:/ -]", "_", name): value for name, value in row.items()}, step=step)

    return Service(log, mlflow.end_run)


SERVICES: dict[str, Callable[[dict[str, Any], str, Path], Service]] = {"wandb": _wandb, "mlflow": _mlflow}

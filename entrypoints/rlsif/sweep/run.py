"""A sweep from its start to its best preset."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import yaml

from rlsif.cluster import local_ray
from rlsif.cluster.job import JobFolder
from rlsif.cluster.ray_node import require_token
from rlsif.cluster.resources import Cluster, available
from rlsif.errors import REQUEUE
from rlsif.files import replace as replace_file
from rlsif.learning.spec import ManyPolicies
from rlsif.runs.record import RETURN, STEPS, Run, flat, runs_below
from rlsif.runs.table import aligned, number, rounded
from rlsif.sweep import plan
from rlsif.sweep.plan import Sweep, SweepOptions
from rlsif.sweep.trials import LOG, Told, run_trials
from rlsif.training.process import noise_into
from rlsif.training.record import FAILED, FINISHED
from rlsif.training.run_lock import LOCK, check_free, held

BEST = "best.yaml"


def sweep(
    options: SweepOptions,
    cluster: Cluster | None = None,
    job: JobFolder | None = None,
    began: Callable[[], None] | None = None,
) -> int:
    """Run a sweep, here or on the nodes of a job; give the exit code as `train` does.

    `began` is called when a trial has its first iteration.

    Raises InputError for what cannot be right, and RlsifError where every trial failed.
    """
    require_token()
    planned = plan.resumed(options) if options.resume else plan.new(options, cluster or available())
    if job:
        replace_file(job.run, str(planned.folder))
        Told.job = job
    with held(planned.folder), noise_into(planned.folder / LOG) as terminal:
        # A trial may be resumed by `train` on its own.
        for lock in planned.folder.glob(f"*/{LOCK}"):
            check_free(lock.parent)
        Told.terminal, Told.began = terminal, began
        Told.number, Told.of = len(_finished(planned)), planned.trials
        print(f"{planned.spec.algo} on {planned.spec.env.name}, {planned.trials} trials", file=terminal)
        print(f"sweep folder: {planned.folder}", file=terminal, flush=True)
        planned = replace(planned, by_role=cluster is not None)
        with contextlib.nullcontext() if cluster else local_ray.started(available()), _sigterm_like_ctrl_c():
            complete = run_trials(planned)
    ranked = _ranked(planned)
    print(_table(planned, ranked))
    if not complete:
        print(f"interrupted; resume with: sweep --resume {planned.folder}")
        return REQUEUE if job and job.stop_is_asked_for else 128 + signal.SIGINT
    _keep_best(planned, ranked[0])
    env = planned.spec.env
    named = " ".join([f"--env {env.name}", *(f"--wrap {wrapper}" for wrapper in env.own_wrappers)])
    named += f" --atari {env.atari}" if env.atari else ""
    named += _policies_as_typed(planned.spec.policies)
    named += f" --opponent {planned.spec.opponent}" if planned.spec.opponent else ""
    named += f" --model {planned.spec.network}" if planned.spec.network else ""
    print(f"best settings: {planned.folder / BEST}; use them with: train {named} --config {BEST}")
    return 0


def _policies_as_typed(policies: ManyPolicies | None) -> str:
    if policies is None:
        return ""
    learn = f" --train-policies {','.join(policies.some_learn)}" if policies.some_learn else ""
    return f" --policies {policies.given}{learn}"


def is_finished(folder: Path) -> bool:
    """Whether the sweep in this folder has come to its end."""
    return (folder / BEST).is_file()


@contextlib.contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Tune ends well on SIGINT alone: it keeps its state, so that the sweep can be resumed."""
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _finished(planned: Sweep) -> list[Run]:
    return [run for run in runs_below(planned.folder) if run.state == FINISHED]


def _ranked(planned: Sweep) -> list[Run]:
    """The trials' runs, best first, those that failed last."""

    def place(run: Run) -> tuple[bool, bool, float, str]:
        reached = run.last(RETURN)
        return run.state != FAILED, reached is not None, reached or 0.0, run.folder.name

    return sorted(runs_below(planned.folder), key=place, reverse=True)


def _table(planned: Sweep, runs: list[Run]) -> str:
    names = [dimension.name for dimension in planned.searched]
    lines = []
    for run in runs:
        settings = flat(run.spec.hyperparameters)
        values = [rounded(settings.get(name)) for name in names]
        lines.append((number(run.last(RETURN), 1), number(run.last(STEPS)), *values, run.folder.name))
    return aligned([("return", "env steps", *names, "run"), *lines])


def _keep_best(planned: Sweep, best: Run) -> None:
    """Write the best run's hyperparameters as a file for `train --config`."""
    text = yaml.safe_dump(json.loads(json.dumps(dict(best.spec.hyperparameters))), sort_keys=False)
    reached = f"mean return {number(best.last(RETURN), 1)} after {number(best.last(STEPS))} env steps"
    replace_file(planned.folder / BEST, f"# {best.spec.algo} on {best.env}: {reached}, run {best.folder.name}\n{text}")

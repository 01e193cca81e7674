"""A training run from its options to its summary."""

from __future__ import annotations

import contextlib
import json
import platform
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rlsif.cluster.job import JobFolder
from rlsif.cluster.ray_node import require_token
from rlsif.cluster.resources import available
from rlsif.envs.find import short
from rlsif.errors import InputError, RlsifError
from rlsif.files import replace as replace_file
from rlsif.training import checkpoints, results
from rlsif.training.checkpoints import CheckpointError, Progress
from rlsif.training.display import Display, display_for
from rlsif.training.host import POLL, Host, RunFailed, host
from rlsif.training.options import TrainOptions
from rlsif.training.plan import Plan, make_plan
from rlsif.training.process import Signals, noise_into

# After a signal an iteration may take this long to end before the run gives it up.
SECONDS_TO_FINISH = 20
# Slurm signals Ray's processes as well, so that nothing is to come; it asks for a checkpoint by the stop file.
SECONDS_TO_FINISH_IN_A_JOB = 1
# Without an env runner RLlib goes on for ever and samples nothing; for so long one may come back, in seconds.
SECONDS_WITHOUT_ENV_RUNNER = 60
# How a run ended, in summary.json.
FINISHED, INTERRUPTED, FAILED = "finished", "interrupted", "failed"
# Exit code of a run that was asked to make way and can go on; EX_TEMPFAIL of sysexits.h.
GO_ON_LATER = 75


def train(options: TrainOptions, plan: Plan | None = None, job: JobFolder | None = None) -> int:
    """Train an agent; give the exit code: 0, 128 and the number of the signal that ended it, or GO_ON_LATER.

    In a job the plan is made, and this process is connected to the nodes' Ray. Raises InputError for what
    cannot be right, RlsifError for a run that failed.
    """
    require_token()
    plan = plan or make_plan(options)
    folder = plan.folder or results.new_folder(options.results_dir, plan.spec.algo, plan.spec.env)
    try:
        if job:
            replace_file(job.run, str(folder))
        with noise_into(folder / results.LOG) as terminal:
            return Run(plan, options, folder, display_for(terminal), job.stop if job else None).execute()
    except InputError:
        if plan.folder is None:
            _remove_unless_trained(folder)
        raise


def continued(options: TrainOptions, job: JobFolder) -> TrainOptions | None:
    """The options of a job that Slurm may have restarted: its run goes on; None when that is finished."""
    if not job.run.is_file():
        return options
    folder = Path(job.run.read_text())
    summary = folder / results.SUMMARY
    if summary.is_file() and json.loads(summary.read_text())["state"] == FINISHED:
        return None
    return replace(options, resume=folder) if checkpoints.complete(folder / results.CHECKPOINTS) else options


class Run:
    """The loop of one run, and what it leaves behind."""

    def __init__(
        self, plan: Plan, options: TrainOptions, folder: Path, display: Display, stop_file: Path | None
    ) -> None:
        """Open the run's files."""
        self._plan, self._options, self._display = plan, options, display
        self._stop_file = stop_file
        self._seconds_to_finish = SECONDS_TO_FINISH if stop_file is None else SECONDS_TO_FINISH_IN_A_JOB
        self._checkpoints = folder / results.CHECKPOINTS
        self._files = results.RunFiles(folder, plan.progress.training_iteration if plan.progress else 0)
        self._rows = results.Row(plan.progress)
        self._last_checkpoint: Path | None = plan.checkpoint

    def execute(self) -> int:
        """Start everything, train until an end, and write checkpoint and summary whatever happens."""
        plan = self._plan
        self._display.start(_heading(plan), _resources_in_words(plan), str(self._files.folder), plan.stop)
        reason, failure, code, state = "failed", None, 0, FAILED
        try:
            with host(plan.resources, plan.layout) as algorithm, Signals() as signals:
                self._begin(algorithm)
                reason = self._loop(algorithm, signals)
                code = 128 + signals.caught if signals.caught else GO_ON_LATER if self._stop_is_asked_for() else 0
                state = INTERRUPTED if code else FINISHED
        except InputError:
            raise
        except RlsifError as problem:
            failure = problem
            reason = f"failed: {str(problem).splitlines()[0]}"
        finally:
            self._display.close()
        self._files.write_summary(self._summary(reason, state))
        if failure is not None:
            raise failure
        self._display.note(self._last_line(reason))
        return code

    def _stop_is_asked_for(self) -> bool:
        """Whether the batch script asks for a checkpoint and an end, before Slurm ends the job."""
        return self._stop_file is not None and self._stop_file.exists()

    def _begin(self, algorithm: Host) -> None:
        plan = self._plan
        settings = algorithm.build(plan.spec, plan.layout)
        run = {**asdict(plan.spec), "versions": _versions()}
        self._files.write_params({"run": run, "resources": _resources(plan), **settings})
        if plan.checkpoint:
            algorithm.restore(plan.checkpoint)
            self._display.note(f"resumed from {plan.checkpoint}")

    def _loop(self, algorithm: Host, signals: Signals) -> str:
        """Train until an end is reached or a signal comes; give the reason."""
        alive, empty_since = self._plan.layout.num_env_runners, None
        while True:
            started = time.monotonic()
            iteration = algorithm.step(lambda: signals.waited_long(self._seconds_to_finish))
            if iteration is None:
                return f"interrupted by {signals.name}; the iteration did not end within {self._seconds_to_finish} s"
            if iteration["num_healthy_workers"] != alive:
                alive, before = iteration["num_healthy_workers"], alive
                self._display.note(f"{alive} env runners are alive, {before} were")
            if iteration["num_env_steps_sampled_lifetime"] == self._rows.env_steps:
                empty_since = empty_since or started
                self._wait_for_env_runners(alive, empty_since)
                if not signals.caught:
                    continue
                return f"interrupted by {signals.name}; no env runner was alive"
            empty_since = None
            row = self._rows.add(iteration, time.monotonic() - started)
            self._display.row(row)
            self._write(row)
            reason = self._plan.stop.reached(row)
            if signals.caught:
                reason = f"interrupted by {signals.name}"
            elif self._stop_is_asked_for() and not reason:
                reason = "interrupted by the batch script; the run can go on"
            if reason or row["training_iteration"] % self._options.checkpoint_every == 0:
                self._checkpoint(algorithm)
            if reason:
                return reason

    def _wait_for_env_runners(self, alive: int, since: float) -> None:
        """After an iteration that sampled nothing. Raises RunFailed when that has lasted too long."""
        seconds = SECONDS_WITHOUT_ENV_RUNNER
        if time.monotonic() - since > seconds:
            raise RunFailed(f"nothing was sampled for {seconds} s: {alive} env runners are alive; see {self._log}")
        time.sleep(POLL)

    def _write(self, row: Mapping[str, Any]) -> None:
        """Write the row; where the disk refuses, say so and go on: the next one brings it along."""
        try:
            self._files.write_row(row)
        except OSError as problem:
            self._display.note(
                f"warning: iteration {row['training_iteration']} is not in the files yet: {problem.strerror}"
            )

    @property
    def _log(self) -> Path:
        return self._files.folder / results.LOG

    def _checkpoint(self, algorithm: Host) -> None:
        """Write a checkpoint; where the disk refuses, say so and go on with the ones there are."""
        try:
            self._last_checkpoint = checkpoints.write(self._checkpoints, self._progress(), algorithm.save)
            checkpoints.keep(self._checkpoints, self._options.keep_checkpoints)
        except CheckpointError as problem:
            self._display.note(f"warning: {problem}; the last good one is {self._last_checkpoint or 'none'}")

    def _progress(self) -> Progress:
        spec, rows = self._plan.spec, self._rows
        return Progress(
            algo=spec.algo,
            env=spec.env,
            framework=spec.framework,
            training_iteration=rows.iteration,
            num_env_steps_sampled_lifetime=rows.env_steps,
            time_total_s=rows.time_total_s,
            returns=list(rows.returns),
            lengths=list(rows.lengths),
        )

    def _summary(self, reason: str, state: str) -> dict[str, Any]:
        spec, progress = self._plan.spec, self._progress()
        seconds = progress.time_total_s
        return {
            "algo": spec.algo,
            "env": spec.env,
            "framework": spec.framework,
            "seed": spec.seed,
            "iterations": progress.training_iteration,
            "env_steps": progress.num_env_steps_sampled_lifetime,
            "episode_return_mean": progress.episode_return_mean,
            "state": state,
            "stop_reason": reason,
            "time_total_s": seconds,
            "env_steps_per_s": progress.num_env_steps_sampled_lifetime / seconds if seconds else None,
            "resources": _resources(self._plan),
            "run_dir": str(self._files.folder),
            "checkpoint": str(self._last_checkpoint) if self._last_checkpoint else None,
            "best_checkpoint": str(checkpoints.best(self._checkpoints) or "") or None,
        }

    def _last_line(self, reason: str) -> str:
        progress = self._progress()
        mean, steps = progress.episode_return_mean, progress.num_env_steps_sampled_lifetime
        reached = "no episode ended" if mean is None else f"mean return {mean:.1f}"
        return (
            f"done: {reached} after {steps:,} env steps in {progress.time_total_s:.1f} s ({reason});"
            f" checkpoint {self._last_checkpoint or 'none'}"
        )


def _remove_unless_trained(folder: Path) -> None:
    """Take away a run folder that was made for a run that never started."""
    if not (folder / results.RESULT).exists():
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def _heading(plan: Plan) -> str:
    return f"{plan.spec.algo} ({plan.spec.framework}) on {short(plan.spec.env)}"


def _resources(plan: Plan) -> dict[str, Any]:
    """What a run takes: a core for the learner, one for each env runner."""
    layout = plan.layout
    return {
        "num_cpus": plan.resources.cpus if plan.resources else layout.num_env_runners + 1,
        "num_gpus": layout.num_gpus,
        "num_env_runners": layout.num_env_runners,
        "num_envs_per_env_runner": layout.num_envs_per_env_runner,
    }


def _resources_in_words(plan: Plan) -> str:
    runners, envs = plan.layout.num_env_runners, plan.layout.num_envs_per_env_runner
    against = plan.layout.rllib_samples
    sampler = f"sampled by RLlib, for {against}" if against else "sampled in NumPy"
    sampler = f"{envs} environment{'s' * (envs != 1)} each, {sampler}"
    if plan.resources is None:
        gpus = plan.layout.num_gpus
        return f"1 learner with {gpus:g} GPUs, {runners} env runners, {sampler}, on the nodes of the job"
    there = available()
    used = plan.resources
    parts = (
        "everything in one process"
        if plan.layout.local_mode
        else f"1 learner, {runners} env runner{'s' * (runners != 1)}"
    )
    return f"{used.cpus}/{there.cpus} CPUs, {plan.layout.num_gpus:g}/{there.gpus} GPUs ({parts}, {sampler})"


def _versions() -> Mapping[str, str]:
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("rlsif", "ray", "gymnasium", "tf-keras")},
    }

"""One run of a sweep, as Ray Tune steps it: the same training, and the same files, as `train` makes."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ray.tune import Trainable

from rlsif.cluster import failures
from rlsif.envs.find import FoundEnv
from rlsif.envs.patience import PATIENCE
from rlsif.errors import RlsifError
from rlsif.files import append
from rlsif.learning.finite import SpoiltWeights, check_finite
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Layout, RunSpec
from rlsif.sweep.watching import Watching, raise_what_was_reported
from rlsif.training import results
from rlsif.training.checkpoints import CheckpointError, Progress
from rlsif.training.learner_host import RunFailed
from rlsif.training.record import FAILED, FINISHED, INTERRUPTED, Record, resources_in_numbers
from rlsif.training.stopping import Stop
from rlsif.values import merge, nested

# What trials are compared by; the mean return, and less than any before the first episode has ended.
SCORE = "score"
# In its checkpoints: how far the run was, and its folder.
PROGRESS, RUN = "progress.json", "run"
KEEP_CHECKPOINTS = 1
# A trial whose env runners sample nothing for so long fails; how often it is tried meanwhile.
SECONDS_WITHOUT_STEP, POLL = 60, 0.2


class Trial(Trainable):  # type: ignore[misc]
    """A run with the hyperparameters that Tune has chosen."""

    def setup(
        self,
        config: dict[str, Any],
        spec: RunSpec,
        layout: Layout,
        env: FoundEnv,
        stop: Stop,
        folder: Path,
        patience: float = PATIENCE,
    ) -> None:
        """Build the algorithm; `folder` is the sweep's, and gets the run's.

        An environment that makes no step for `patience` seconds ends the trial.
        """
        self._patience = patience
        self._common, self._layout, self._env = spec, layout, env
        self._stop, self._sweep_folder = stop, folder
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        common = self._common
        self._spec = replace(common, hyperparameters=merge(common.hyperparameters, nested(config)))
        self._folder = self._sweep_folder / f"{common.algo}_{common.env.file_name}_{self.trial_id}"
        self._algorithm = Learner()
        failures.forget(self.trial_id)
        # One that resumes, or takes another over, draws other seeds than before.
        layout = replace(self._layout, run=self.trial_id, resumed_at=_iterations(self._folder))
        self._watching = Watching(self.trial_id, self._patience)
        with self._watching.looking():
            self._settings = self._algorithm.build_as_it_is_sampled(self._spec, layout, self._env)
        # Opened by the first step, or by the checkpoint that comes before it.
        self._record: Record | None = None
        self._ended = False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become the next trial, in the process that has TensorFlow imported."""
        self.cleanup()
        self._begin(new_config)
        return True

    def _open(self, progress: Progress | None) -> Record:
        """Open the run's files, to resume from a checkpoint, or without one anew."""
        if progress is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(exist_ok=True)
        resources = resources_in_numbers(self._layout, self._layout.cores)
        spaces = self._env.described
        record = Record(self._folder, self._spec, resources, progress, KEEP_CHECKPOINTS, spaces=spaces)
        record.begin(self._settings)
        return record

    def step(self) -> dict[str, Any]:
        """Train one iteration; give its row. What fails is told in the run's summary, too."""
        self._record = self._record or self._open(None)
        try:
            return self._stepped(self._record)
        except Exception as problem:
            self._fail(self._record, problem)
            raise

    def _stepped(self, record: Record) -> dict[str, Any]:
        started = time.monotonic()
        with self._watching.looking():
            iteration = self._sampled()
        check_finite(iteration["statistics"])
        row = record.add(iteration, time.monotonic() - started)
        record.write(row)
        reason = self._stop.reached(row)
        if reason:
            self._end(record, reason, FINISHED)
        mean = row["env_runners/episode_return_mean"]
        return {**row, SCORE: -math.inf if mean is None else mean, "done": reason is not None}

    def _sampled(self) -> dict[str, Any]:
        """Train an iteration that sampled something. Raises RunFailed where an env runner failed, or none is left."""
        began, before = time.monotonic(), self._record.env_steps if self._record else 0
        while True:
            iteration = self._algorithm.step()
            raise_what_was_reported(self.trial_id)
            if iteration["num_env_steps_sampled_lifetime"] > before:
                return iteration
            if time.monotonic() - began > SECONDS_WITHOUT_STEP:
                raise RunFailed(f"nothing was sampled for {SECONDS_WITHOUT_STEP} s; see sweep.log")
            time.sleep(POLL)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write a checkpoint for Tune, and one for whoever evaluates the run."""
        self._record = self._record or self._open(None)
        try:
            self._algorithm.save(checkpoint_dir)
        except SpoiltWeights as problem:
            self._fail(self._record, problem)
            raise
        (Path(checkpoint_dir) / PROGRESS).write_text(json.dumps(asdict(self._record.progress)))
        (Path(checkpoint_dir) / RUN).write_text(str(self._folder))
        if self._record.progress.training_iteration:
            self._record.checkpoint(self._algorithm.save)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Resume from a checkpoint: this run's own, or one that it takes over from a better one."""
        self._algorithm.restore(checkpoint_dir)
        progress = Progress(**json.loads((Path(checkpoint_dir) / PROGRESS).read_text()))
        run = Path(checkpoint_dir) / RUN
        # A sweep that an older version began has none.
        if run.is_file():
            _take_over_rows(Path(run.read_text()), self._folder, progress.training_iteration)
        self._record = self._open(progress)

    def cleanup(self) -> None:
        """End, before the end of the run where the sweep ends it."""
        if self._record and not self._ended:
            self._end(self._record, "ended by the sweep", INTERRUPTED)
        self._watching.end()
        # One that stands still would not hear of it.
        if not self._watching.found_one:
            self._algorithm.stop()

    def _fail(self, record: Record, problem: Exception) -> None:
        """Say how the run ended; what it has learned is kept, unless that is spoilt."""
        self._ended = True
        if record.has_unsaved_iterations and not isinstance(problem, SpoiltWeights):
            with contextlib.suppress(RlsifError, OSError):
                record.checkpoint(self._algorithm.save)
        _write_end(record, f"failed: {(str(problem).splitlines() or ['?'])[0]}", FAILED)

    def _end(self, record: Record, reason: str, state: str) -> None:
        """Write the last checkpoint and the summary."""
        self._ended = True
        try:
            record.checkpoint(self._algorithm.save)
        except CheckpointError as problem:
            print(f"warning: {problem}")
        _write_end(record, reason, state)


def _take_over_rows(better: Path, mine: Path, until: int) -> None:
    """Give a run that takes over from one that is ahead the rows of that one, of the iterations that it has not had."""
    before = _iterations(mine)
    rows = [row for row in results.read_rows(better) if before < row["training_iteration"] <= until]
    if better != mine and rows:
        mine.mkdir(exist_ok=True)
        append(mine / results.RESULT, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _write_end(record: Record, reason: str, state: str) -> None:
    """Write the summary; where the disk refuses, say so in sweep.log: how the trial ended matters more."""
    try:
        record.end(reason, state)
    except OSError as problem:
        print(f"warning: {record.folder / results.SUMMARY} is not written: {problem.strerror}")


def _iterations(folder: Path) -> int:
    """How many iterations a trial has trained so far."""
    rows = results.read_rows(folder) if folder.is_dir() else []
    return int(rows[-1]["training_iteration"]) if rows else 0

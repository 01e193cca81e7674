"""What a run leaves in its folder, while it runs and at its end."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rlsif.envs.recorded import sizes_of
from rlsif.learning.spec import FLOAT32, Layout, RunSpec
from rlsif.packages import installed_packages
from rlsif.sampling.opponents import SELF
from rlsif.training import checkpoints, results
from rlsif.training.checkpoints import Progress
from rlsif.training.tracking import Tracking

# How a run ended, in summary.json.
FINISHED, INTERRUPTED, FAILED = "finished", "interrupted", "failed"


class Record:
    """Rows, checkpoints and summary of one run."""

    def __init__(
        self,
        folder: Path,
        spec: RunSpec,
        resources: Mapping[str, Any],
        progress: Progress | None,
        keep: int,
        log_to: Sequence[str] = (),
        spaces: str = "",
        by_evaluation: bool = False,
    ) -> None:
        """Open the files of a new run, or of one that is resumed from `progress`.

        `keep` is how many checkpoints are kept, `log_to` names services that are told, too; `spaces` are the
        environment's, in words; `by_evaluation` says whether the policy is evaluated while the run trains.
        """
        self._spaces = spaces or None
        self._log_to = log_to
        self.folder, self._spec, self._resources, self._keep = folder, spec, resources, keep
        self._checkpoints = folder / results.CHECKPOINTS
        self._files = results.RunFiles(folder, progress.training_iteration if progress else 0)
        self._rows = results.Row(progress)
        self._tracking = Tracking((), {}, "", folder)
        self.last_checkpoint: Path | None = None
        # The mean return of every evaluation, by its iteration.
        self._evaluations = self._evaluated_before(progress) if progress else {}
        self._by_evaluation = by_evaluation
        # The iteration of the one that is under way; its checkpoint is kept.
        self.pending_evaluation: int | None = None
        # The task of the environments, in a list; empty while there is none.
        self.task: list[Any] = list(progress.task) if progress else []

    @property
    def has_unsaved_iterations(self) -> bool:
        """Whether there are iterations after the last checkpoint."""
        last = checkpoints.read(self.last_checkpoint).training_iteration if self.last_checkpoint else 0
        return self._rows.iteration > last

    @property
    def columns(self) -> Sequence[str]:
        """The columns that rows have had so far."""
        return self._files.columns

    @property
    def iterations(self) -> int:
        """How many rows there are."""
        return self._rows.iteration

    @property
    def last_evaluation(self) -> float | None:
        """The mean return of the newest evaluation, also of one before a resume; None where none has ended."""
        return self._evaluations[max(self._evaluations)] if self._evaluations else None

    @property
    def time_total_s(self) -> float:
        """Seconds of all rows."""
        return self._rows.time_total_s

    @property
    def env_steps(self) -> int:
        """Env steps of all rows."""
        return self._rows.env_steps

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Write params.json; `settings` are all of RLlib's. Raises InputError where a service cannot be reached.

        How the run ended before it was resumed no longer holds.
        """
        spec = self._spec
        told = {"algo": spec.algo, "env": spec.env.name, "seed": spec.seed, **spec.hyperparameters, **self._resources}
        self._tracking = Tracking(self._log_to, told, spec.env.short, self.folder)
        (self.folder / results.SUMMARY).unlink(missing_ok=True)
        about: dict[str, Any] = {"spaces": self._spaces, "versions": _versions(), "packages": installed_packages()}
        if spec.input:
            about["input_files"] = sizes_of(Path(spec.input))
        run = {**self._spec.as_json(), **about}
        self._files.write_params({"run": run, "resources": self._resources, **settings, "seed": spec.seed})

    def add(self, iteration: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Count an iteration that took so many seconds; give its row, which is not written yet."""
        row = self._rows.add(iteration, seconds)
        self.evaluated(iteration.get("evaluation"))
        return row

    def evaluated(self, ended: Mapping[str, Any] | None) -> None:
        """Remember an evaluation, if there is one, with the checkpoint of its iteration, written already or not yet."""
        if ended is None:
            return
        if ended["iteration"] == self.pending_evaluation:
            self.pending_evaluation = None
        mean = results.mean_return(ended)
        if mean is not None:
            self._evaluations[ended["iteration"]] = mean
        # A full disk ends no run.
        with contextlib.suppress(OSError):
            checkpoints.note_evaluation(self._checkpoints, ended["iteration"], mean)

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a row to every file. Raises OSError where the disk refuses; the next row brings it along."""
        self._tracking.log(row)
        self._files.write_row(row)

    def checkpoint(self, save: Callable[[str], object]) -> None:
        """Have `save` write a checkpoint, and delete those that are too many. Raises CheckpointError."""
        self.last_checkpoint = checkpoints.write(self._checkpoints, self.progress, save)
        checkpoints.keep(self._checkpoints, self._keep, self.pending_evaluation)

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        spec, rows = self._spec, self._rows
        return Progress(
            algo=spec.algo,
            env=spec.env.name,
            framework=spec.framework,
            training_iteration=rows.iteration,
            num_env_steps_sampled_lifetime=rows.env_steps,
            time_total_s=rows.time_total_s,
            returns=list(rows.returns),
            lengths=list(rows.lengths),
            evaluation_return_mean=self._evaluations.get(rows.iteration),
            evaluation_is_due=self.pending_evaluation == rows.iteration,
            by_evaluation=self._by_evaluation,
            task=self.task,
            returns_compare=spec.opponent != SELF,
        )

    def _evaluated_before(self, progress: Progress) -> dict[int, float]:
        """What evaluations came to before the run was resumed; of one after the last row, the checkpoint knows."""
        rows = results.read_rows(self.folder)
        found = {row.get("evaluation/training_iteration"): row.get("evaluation/episode_return_mean") for row in rows}
        found[progress.training_iteration] = progress.evaluation_return_mean
        return {int(iteration): mean for iteration, mean in found.items() if iteration and mean is not None}

    @property
    def evaluation_to_make_up(self) -> Path | None:
        """The checkpoint of which an evaluation was under way when the run was interrupted."""
        return checkpoints.due(self._checkpoints) if self._by_evaluation else None

    def end(self, reason: str, state: str) -> None:
        """Write summary.json. Raises OSError where the disk refuses.

        Before services are told: one that cannot be reached may take minutes to fail.
        """
        try:
            self._files.write_summary(self._summary(reason, state))
        finally:
            self._tracking.end()

    def _summary(self, reason: str, state: str) -> dict[str, Any]:
        """What summary.json has."""
        spec, progress = self._spec, self.progress
        seconds = progress.time_total_s
        return {
            "algo": spec.algo,
            "env": spec.env.name,
            "framework": spec.framework,
            "seed": spec.seed,
            "iterations": progress.training_iteration,
            "env_steps": progress.num_env_steps_sampled_lifetime,
            "episode_return_mean": self.last_evaluation if spec.input else progress.episode_return_mean,
            "state": state,
            "stop_reason": reason,
            "time_total_s": seconds,
            "env_steps_per_s": progress.num_env_steps_sampled_lifetime / seconds if seconds else None,
            "resources": self._resources,
            "run_dir": str(self.folder),
            "checkpoint": str(self.last_checkpoint) if self.last_checkpoint else None,
            "best_checkpoint": str(checkpoints.best(self._checkpoints) or "") or None,
        }


def resources_in_numbers(layout: Layout, cpus: int) -> dict[str, Any]:
    """What a run takes, by the names of `train`'s options."""
    return {
        "num_cpus": cpus,
        "num_gpus": layout.num_gpus,
        "num_env_runners": layout.num_env_runners,
        "num_envs_per_env_runner": layout.num_envs_per_env_runner,
        **({"env_processes": layout.env_processes} if layout.env_processes else {}),
        **({"precision": layout.precision} if layout.precision != FLOAT32 else {}),
    }


def _versions() -> Mapping[str, str]:
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("rlsif", "ray", "gymnasium", "tf-keras")},
    }

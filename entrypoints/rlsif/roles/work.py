"""What a job's nodes are for: one training, or the trials of a sweep. The head asks no more of either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rlsif.cluster.job import JobFolder
from rlsif.cluster.resources import Cluster
from rlsif.sweep.plan import SweepOptions
from rlsif.sweep.run import is_finished, sweep
from rlsif.training.options import TrainOptions
from rlsif.training.plan import make_plan
from rlsif.training.run import continued, train
from rlsif.training.stopping import AtItsEnd


class Work(Protocol):
    """Something to be done on the nodes of a job, which Slurm may have restarted."""

    def finished(self) -> str | None:
        """The folder of what an earlier start of the job has finished."""

    def num_gpus(self) -> float | None:
        """The GPUs that are asked for; None: all of the learner's node."""

    def prepare(self, cluster: Cluster) -> str | None:
        """Refuse what cannot be right, while the nodes come up; give the folder where nothing is left to do.

        Raises InputError.
        """

    def run(self, cluster: Cluster, began: Callable[[], None]) -> int:
        """Do it, connected to the nodes; call `began` when the first iteration is done; give the exit code."""


class Training:
    """One run of `train`."""

    def __init__(self, options: TrainOptions, job: JobFolder) -> None:
        """Take the options as given, and find out whether the run has begun."""
        self._job, self._options = job, continued(options, job)

    def finished(self) -> str | None:
        """The run's folder, where it is finished."""
        return None if self._options else self._job.run.read_text()

    def num_gpus(self) -> float | None:
        """The GPUs that are asked for."""
        assert self._options
        return self._options.num_gpus

    def prepare(self, cluster: Cluster) -> str | None:
        """Make the plan."""
        assert self._options
        try:
            self._plan = make_plan(self._options, cluster)
        except AtItsEnd:
            # An earlier start of the job came to the end and no further.
            if self._job.run.is_file():
                return self._job.run.read_text()
            raise
        return None

    def run(self, cluster: Cluster, began: Callable[[], None]) -> int:
        """Train."""
        assert self._options
        return train(self._options, self._plan, self._job, began)


class Sweeping:
    """A `sweep`, whose trials sit on the rollout nodes, and their learners on GPUs where they use some."""

    def __init__(self, options: SweepOptions, job: JobFolder) -> None:
        """Take the options as given, and find out whether the sweep has begun."""
        begun = job.run.is_file()
        self._job, self._options = job, replace(options, resume=Path(job.run.read_text())) if begun else options

    def finished(self) -> str | None:
        """The sweep's folder, where it is finished."""
        folder = self._options.resume
        return str(folder) if folder and is_finished(folder) else None

    def num_gpus(self) -> float | None:
        """The GPUs of a trial."""
        return self._options.gpus_per_trial

    def prepare(self, cluster: Cluster) -> str | None:
        """Do nothing: a sweep checks its options when it starts."""
        return None

    def run(self, cluster: Cluster, began: Callable[[], None]) -> int:
        """Run the trials."""
        return sweep(self._options, cluster, self._job, began)

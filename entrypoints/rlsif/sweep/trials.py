"""The trials of a sweep, run by Ray Tune."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from rlsif.cluster.job import JobFolder
from rlsif.errors import RlsifError
from rlsif.private_api import trials_without_runtime_environments
from rlsif.runs.record import RETURN, STEPS
from rlsif.runs.table import number, rounded
from rlsif.sweep.plan import Sweep
from rlsif.sweep.space import Dimension

# In the sweep's folder: what Tune needs to resume, and what it has to say.
TUNE, LOG = "tune", "sweep.log"
# A trial that is resumed after an interruption repeats so many iterations at most.
CHECKPOINT_EVERY = 10
# Of the longest trial: when the first are ended, and how often the worse take over from the better.
FIRST_SHARE = 0.1
# And not before so many iterations: the first episodes to end are the short ones.
FIRST_ITERATIONS = 5
# Of the trials that come so far, one in so many continues.
REDUCTION_FACTOR = 3


def run_trials(planned: Sweep) -> bool:
    """Run the trials; give whether all came to their end. Raises RlsifError where all failed."""
    # What Tune would write beside the runs' own files.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    grid = _tuner(planned).fit()
    if grid.num_errors and not grid.num_terminated:
        raise RlsifError(f"every trial failed: {_last_line(grid.errors[0])}; see {planned.folder / LOG}")
    # An interrupted one is not done, though Tune calls it terminated.
    ended = [result for result in grid if result.error or (result.metrics or {}).get("done")]
    return len(ended) >= planned.trials


def _tuner(planned: Sweep) -> Any:
    """What runs the trials: that of an earlier sweep, if this one resumes it."""
    from ray import tune

    from rlsif.sweep.trial import SCORE

    trials_without_runtime_environments()
    trainable, kept = _trainable(planned), planned.folder / TUNE
    if planned.resumed and tune.Tuner.can_restore(kept):
        return tune.Tuner.restore(str(kept), trainable, resume_errored=True)
    return tune.Tuner(
        trainable,
        param_space={dimension.name: dimension.for_tune() for dimension in planned.searched},
        tune_config=tune.TuneConfig(
            metric=SCORE,
            mode="max",
            num_samples=planned.num_samples,
            scheduler=_scheduler(planned),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(planned.folder),
            name=TUNE,
            verbose=0,
            callbacks=[_told()],
            checkpoint_config=tune.CheckpointConfig(
                # The worse may be about to take over from any of the better.
                num_to_keep=None if planned.scheduler == "pbt" else 1,
                checkpoint_frequency=CHECKPOINT_EVERY,
                checkpoint_at_end=True,
            ),
        ),
    )


def _trainable(planned: Sweep) -> Any:
    """The class of a trial, with what all trials share, and the cores and GPUs of one."""
    from ray import tune

    from rlsif.sweep.trial import Trial

    layout = planned.layout

    def cores(number: float) -> dict[str, float]:
        return {"CPU": number, **({"rollout": number} if planned.by_role else {})}

    each = float(layout.cores_of_runner)
    learners = 1.0 if layout.num_env_runners else each
    learner = {"CPU": learners, "GPU": layout.num_gpus} if layout.num_gpus else cores(learners)
    bundles = [learner, *(cores(each) for _ in range(layout.num_env_runners))]
    given: dict[str, Any] = {"spec": planned.spec, "layout": layout, "stop": planned.stop, "folder": planned.folder}
    given |= {"env": planned.env, "patience": planned.env_timeout}
    return tune.with_resources(tune.with_parameters(Trial, **given), tune.PlacementGroupFactory(bundles))


def _scheduler(planned: Sweep) -> Any:
    from ray.tune.schedulers import AsyncHyperBandScheduler, PopulationBasedTraining

    stop = planned.stop
    time_attr, longest = (STEPS, stop.timesteps) if stop.timesteps else ("training_iteration", stop.iters or 1)
    an_iteration = planned.spec.hyperparameters.get("train_batch_size", 4000) if stop.timesteps else 1
    first = max(int(longest * FIRST_SHARE), FIRST_ITERATIONS * an_iteration)
    if planned.scheduler == "asha":
        return AsyncHyperBandScheduler(
            time_attr=time_attr, max_t=longest, grace_period=first, reduction_factor=REDUCTION_FACTOR
        )
    if planned.scheduler == "pbt":
        mutations = {d.name: list(d.arguments) if d.values else d.for_tune() for d in planned.searched}
        return PopulationBasedTraining(
            time_attr=time_attr,
            perturbation_interval=first,
            hyperparam_mutations=mutations,
            # Numbers outside their bounds may be none that the algorithm takes.
            resample_probability=0.25,
            custom_explore_fn=_WithinBounds(planned.searched),
        )
    return None


class _WithinBounds:
    """Keeps what population-based training makes of a number within the bounds that were given."""

    def __init__(self, searched: list[Dimension]) -> None:
        self._searched = [d for d in searched if not d.values]

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        for dimension in self._searched:
            low, high = dimension.arguments
            config[dimension.name] = min(high, max(low, config[dimension.name]))
        return config


def _last_line(error: object) -> str:
    """What is said last, without the place of our own exceptions."""
    return re.sub(r"^rlsif\.[\w.]+: ", "", (str(error).strip().splitlines() or ["unknown"])[-1])


def _why(trial: Any) -> str:
    """Why a trial failed; Tune has it in a file of its own before its folder has it."""
    try:
        return _last_line(Path(trial.error_file or "").read_text())
    except OSError:
        return f"see {LOG}"


class Told:
    """Where lines about trials go; Tune keeps its callbacks in a file, so that they cannot hold a stream."""

    terminal: IO[str] | None = None
    # Of a job, whose batch script asks for an end before Slurm ends it.
    job: JobFolder | None = None
    # Called once, when a trial has its first iteration.
    began: Callable[[], None] | None = None
    number = 0
    of = 0


def _told() -> Any:
    """A callback of Tune that prints a line when a trial ends."""
    from ray.tune import Callback

    class Line(Callback):  # type: ignore[misc]
        """One line a trial."""

        def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
            """End, and keep the state, where the batch script asks for that; Tune does so on a signal."""
            if Told.job and Told.job.stop_is_asked_for:
                signal.raise_signal(signal.SIGINT)

        def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **_: Any) -> None:
            """Tell of the first."""
            began, Told.began = Told.began, None
            if began:
                began()

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            """Print it."""
            row = trial.last_result
            self._say(f"return {number(row.get(RETURN), 1):>8}  env steps {number(row.get(STEPS)):>10}", trial.config)

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            """Print that it failed."""
            self._say(f"failed: {_why(trial)}", trial.config)

        def _say(self, what: str, config: dict[str, Any]) -> None:
            Told.number += 1
            settings = ", ".join(f"{name}={rounded(value)}" for name, value in config.items())
            print(f"trial {Told.number:>3} of {Told.of}  {what}  {settings}", file=Told.terminal, flush=True)

    return Line()

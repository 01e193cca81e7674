"""A training run from its options to its summary."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlsif.cluster import tasks
from rlsif.cluster.heartbeat import INTERVAL
from rlsif.cluster.job import JobFolder
from rlsif.cluster.ray_node import require_token
from rlsif.cluster.resources import available
from rlsif.envs.duel import RANDOM
from rlsif.errors import REQUEUE, InputError, RlsifError, counted, near
from rlsif.files import replace as replace_file
from rlsif.learning.finite import SpoiltWeights, check_finite
from rlsif.learning.spec import Layout, ManyPolicies
from rlsif.sampling.opponents import SELF
from rlsif.training import checkpoints, results, saved
from rlsif.training.callbacks import CallbackFailed, Callbacks
from rlsif.training.checkpoints import CheckpointError
from rlsif.training.display import Display, display_for
from rlsif.training.learner_host import POLL, Host, RunFailed, host
from rlsif.training.options import TrainOptions
from rlsif.training.plan import Plan, make_plan
from rlsif.training.process import Signals, noise_into
from rlsif.training.progress import StandsStill, Watch
from rlsif.training.record import FAILED, FINISHED, INTERRUPTED, Record, resources_in_numbers
from rlsif.training.run_lock import check_free, held

# After a signal an iteration may take this long to end before the run gives it up.
SECONDS_TO_FINISH = 20
# Slurm signals Ray's processes as well, so that nothing is to come; it asks for a checkpoint by the stop file.
SECONDS_TO_FINISH_IN_A_JOB = 1
# Without an env runner RLlib runs indefinitely and samples nothing; for so long one may come back, in seconds.
SECONDS_WITHOUT_ENV_RUNNER = 60


def train(
    options: TrainOptions,
    plan: Plan | None = None,
    job: JobFolder | None = None,
    began: Callable[[], None] | None = None,
) -> int:
    """Train an agent; give the exit code: 0, 128 and the number of the signal that ended it, or REQUEUE.

    In a job the plan is made, and this process is connected to the nodes' Ray. `began` is called when the first
    iteration is done. Raises InputError for what cannot be right, RlsifError for a run that failed.
    """
    require_token()
    plan = plan or make_plan(options)
    folder = plan.folder or results.new_folder(options.results_dir, plan.spec.algo, plan.spec.env)
    try:
        with held(folder), noise_into(folder / results.LOG) as terminal:
            _check_still_last(plan, folder)
            # A trial's folder lies in that of its sweep, which holds the lock for all of them.
            check_free(folder.parent)
            return Run(plan, options, folder, display_for(terminal, options.show), job, began).execute()
    except InputError:
        if plan.folder is None:
            _remove_unless_trained(folder)
        raise


def continued(options: TrainOptions, job: JobFolder) -> TrainOptions | None:
    """The options of a job that Slurm may have restarted: its run is resumed; None when that is finished."""
    if not job.run.is_file():
        return options
    folder = Path(job.run.read_text())
    summary = folder / results.SUMMARY
    if summary.is_file() and json.loads(summary.read_text())["state"] == FINISHED:
        return None
    return replace(options, resume=folder) if checkpoints.complete(folder / results.CHECKPOINTS) else options


@dataclass(frozen=True)
class End:
    """How a run came to its end: in words, as summary.json has it, and as an exit code."""

    reason: str
    state: str
    code: int


class Run:
    """The loop of one run, and what it leaves behind."""

    def __init__(
        self,
        plan: Plan,
        options: TrainOptions,
        folder: Path,
        display: Display,
        job: JobFolder | None,
        began: Callable[[], None] | None,
    ) -> None:
        """Open the run's files."""
        self._plan, self._options, self._display = plan, options, display
        self._job, self._began = job, began
        # When heartbeats were last looked at, and whether a slow batch was told.
        self._looked, self._advised = 0.0, False
        self._watch = Watch(0, options.env_timeout)
        self._seconds_to_finish = SECONDS_TO_FINISH_IN_A_JOB if job else SECONDS_TO_FINISH
        cpus = plan.resources.cpus if plan.resources else plan.layout.cores
        resources = resources_in_numbers(plan.layout, cpus)
        keep, log_to, spaces = options.keep_checkpoints, options.log_to, plan.env.described
        evaluated = plan.layout.evaluation is not None
        self._record = record = Record(folder, plan.spec, resources, plan.progress, keep, log_to, spaces, evaluated)
        record.last_checkpoint = plan.checkpoint
        self._callbacks = Callbacks(options.callbacks, folder, record.iterations, record.env_steps, record.task)

    def execute(self) -> int:
        """Start everything, train until an end, and write checkpoint and summary whatever happens."""
        plan = self._plan
        self._display.start(_heading(plan), _resources_in_words(plan), str(self._record.folder), plan.stop)
        if plan.env.ref.atari:
            from rlsif.envs.atari import protocol

            self._display.note(str(protocol(plan.env.ref)))
        if plan.env.texts:
            from rlsif.envs import texts

            self._display.note(texts.told(plan.env.texts))
        try:
            with Signals() as signals, host(plan.resources, plan.layout) as algorithm:
                signals.listen()
                end = self._begin(algorithm, signals) or self._trained(algorithm, signals)
        except InputError:
            raise
        except RlsifError as problem:
            reason = f"failed: {str(problem).splitlines()[0]}"
            if not isinstance(problem, CallbackFailed):
                with contextlib.suppress(CallbackFailed):
                    self._callbacks.train_end(reason)
            self._write_end(reason, FAILED)
            raise
        finally:
            self._display.close()
        self._write_end(end.reason, end.state)
        self._tell_of_absent_columns()
        self._display.note(self._last_line(end.reason))
        return end.code

    def _write_end(self, reason: str, state: str) -> None:
        """Write summary.json; where the disk refuses, say so: how the run ended matters more."""
        try:
            self._record.end(reason, state)
        except OSError as problem:
            self._display.note(f"warning: {results.SUMMARY} is not written: {problem.strerror}")

    def _tell_of_absent_columns(self) -> None:
        """Say which columns were to be shown and never came up."""
        for name in self._options.show:
            if self._record.columns and name not in self._record.columns:
                self._display.note(f"warning: --show {name}: there is no such column{near(name, self._record.columns)}")

    def _begin(self, algorithm: Host, signals: Signals) -> End | None:
        """Build the algorithm, and load a checkpoint; give the end of a run that was interrupted meanwhile."""
        plan = self._plan
        if signals.caught:
            return _interrupted(signals, " before the first iteration")
        self._watch.begin()
        for task in self._record.task:
            tasks.leave(task)
        settings = algorithm.build(plan.spec, plan.layout, plan.env, lambda: self._while_building(algorithm, signals))
        if settings is None:
            return _interrupted(signals, " before the first iteration")
        for told in algorithm.notes():
            self._display.note(told)
        # Of DQN and SAC an iteration has many batches.
        least = settings.get("min_sample_timesteps_per_iteration") or 0
        self._watch.wanted = 0 if plan.spec.input else max(int(settings["train_batch_size"]), int(least))
        if plan.checkpoint:
            folder = self._record.folder
            for changed in filter(None, (saved.told_of_packages(folder), saved.told_of_input(folder, plan.spec))):
                self._display.note(f"warning: {changed}")
            if not self._made_up(algorithm, signals):
                return _interrupted(signals, " before the first iteration")
            told = algorithm.restore(plan.checkpoint)
            self._display.note(f"resumed from {plan.checkpoint}{told and '; '}{told}")
        # Not before the checkpoint has been loaded with these settings.
        self._record.begin(settings)
        if self._job:
            # From now on a job that Slurm restarts resumes this run.
            replace_file(self._job.run, str(self._record.folder))
        self._callbacks.train_start()
        return None

    def _made_up(self, algorithm: Host, signals: Signals) -> bool:
        """Begin the evaluation that was under way when the run was interrupted; give whether the run was not again.

        Before the learner gets the last checkpoint, for it may have to play by the policy of an earlier one.
        """
        checkpoint = self._record.evaluation_to_make_up
        if checkpoint is None:
            return True
        iteration = checkpoints.read(checkpoint).training_iteration
        self._display.note(f"the evaluation of iteration {iteration}, which was interrupted, is played now")
        self._record.pending_evaluation = iteration
        return algorithm.make_up(iteration, checkpoint, lambda: self._meanwhile(algorithm, signals))

    def _trained(self, algorithm: Host, signals: Signals) -> End:
        """The end of the loop. What was learned before a failure is kept in a checkpoint.

        Not where an env runner stands still: the learner waits for it, and answers no other call. Nor where the weights
        are spoilt.
        """
        try:
            end = self._loop(algorithm, signals)
            self._callbacks.train_end(end.reason)
            return end
        except (StandsStill, SpoiltWeights):
            raise
        except RlsifError:
            with contextlib.suppress(RlsifError, OSError):
                if self._record.has_unsaved_iterations:
                    self._record.checkpoint(algorithm.save_last)
            raise

    def _loop(self, algorithm: Host, signals: Signals) -> End:
        """Train until an end is reached or asked for."""
        plan = self._plan
        alive, empty_since = plan.layout.num_env_runners, None
        while True:
            started = self._started = time.monotonic()
            self._watch.begin()
            evaluate = self._due_for_evaluation(self._record.iterations + 1)
            iteration = algorithm.step(evaluate, lambda: self._meanwhile(algorithm, signals) or self._overdue(signals))
            if iteration is None and not signals.caught:
                return self._end_within_iteration()
            if iteration is None:
                return _interrupted(signals, f"; the iteration did not end within {self._seconds_to_finish} s")
            if iteration["num_healthy_workers"] != alive:
                alive, before = iteration["num_healthy_workers"], alive
                self._display.note(f"{counted(alive, 'env runner')} alive, {before} before")
            if iteration["num_env_steps_sampled_lifetime"] == self._record.env_steps:
                self._record.evaluated(iteration["evaluation"])
                self._look(algorithm)
                empty_since = started if self._watch.moved else empty_since or started
                self._wait_for_env_runners(alive, empty_since)
                if not signals.caught:
                    continue
                return _interrupted(signals, "; no env runner was alive")
            empty_since = None
            self._watch.sampled()
            check_finite(iteration["statistics"])
            # One that plays beside the training waits for the one before, so there is one at most.
            self._record.pending_evaluation = evaluate or self._record.pending_evaluation
            row = self._record.add(iteration, time.monotonic() - started)
            self._tell(row)
            self._look_after_iteration(algorithm)
            self._callbacks.iteration(row, iteration)
            end = self._end(row, signals)
            cut = plan.stop.may_cut(row["time_total_s"], row["time_this_iter_s"])
            if end or cut or evaluate or row["training_iteration"] % self._options.checkpoint_every == 0:
                self._checkpoint(algorithm)
            if end:
                if end.state == FINISHED:
                    self._last_evaluation(algorithm, signals)
                return end

    def _overdue(self, signals: Signals) -> bool:
        """Whether the time is over while an iteration is under way. The run waits for it where more would be lost."""
        if signals.caught:
            return False
        seconds = self._record.time_total_s + time.monotonic() - self._started
        return self._plan.stop.overdue(seconds) and not self._record.has_unsaved_iterations

    def _end_within_iteration(self) -> End:
        """The end by time; the last checkpoint is that of the last iteration."""
        if self._record.last_checkpoint is None:
            advice = "give more time, or smaller batches by --set train_batch_size"
            self._display.note(f"warning: the first iteration did not end, so that nothing was learned; {advice}")
        return End(f"{self._plan.stop.time_s:g} s; the iteration under way is left out", FINISHED, 0)

    def _due_for_evaluation(self, iteration: int) -> int | None:
        """The number of the iteration, if its policy is to be evaluated."""
        asked = self._plan.layout.evaluation
        return iteration if asked and iteration % asked.every == 0 else None

    def _last_evaluation(self, algorithm: Host, signals: Signals) -> None:
        """Wait for the evaluation that is under way; its row is written already, so the checkpoint and a line tell."""
        if self._plan.layout.evaluation is None:
            return
        self._watch.begin()
        ended = algorithm.evaluation(lambda: self._meanwhile(algorithm, signals))
        if ended:
            self._record.evaluated(ended)
            mean = results.mean_return(ended)
            reached = "in no episode" if mean is None else f"mean return {mean:.1f}"
            self._display.note(f"evaluation of iteration {ended['iteration']}: {reached}")

    def _while_building(self, algorithm: Host, signals: Signals) -> bool:
        """While the algorithm and its environments are made; give whether it is given up. Raises StandsStill."""
        self._look(algorithm)
        return signals.caught is not None

    def _look(self, algorithm: Host) -> bool:
        """Take in heartbeats, now and then; give whether that was done. Raises StandsStill."""
        now = time.monotonic()
        if now - self._looked < INTERVAL:
            return False
        self._looked = now
        self._watch.look(algorithm.heartbeats())
        return True

    def _meanwhile(self, algorithm: Host, signals: Signals) -> bool:
        """While an iteration runs: show how far it is; give whether it is given up. Raises StandsStill."""
        if self._look(algorithm):
            told = self._watch.told()
            if told:
                self._display.progress(told)
            self._tell_of_lost()
            advice = None if self._advised else self._watch.advice()
            if advice:
                self._advised = True
                self._display.note(advice)
        return signals.waited_long(self._seconds_to_finish)

    def _look_after_iteration(self, algorithm: Host) -> None:
        """One may be so short that nobody looks while it runs."""
        if self._plan.layout.env_processes and self._look(algorithm):
            self._tell_of_lost()

    def _tell_of_lost(self) -> None:
        for lost in self._watch.lost():
            self._display.note(f"warning: {lost}")

    def _end(self, row: Mapping[str, Any], signals: Signals) -> End | None:
        """The end that the run has come to with this row, if any."""
        reached = self._plan.stop.reached(row)
        if reached:
            return End(reached, FINISHED, 0)
        if self._callbacks.run.ends_for is not None:
            return End(self._callbacks.run.ends_for, FINISHED, 0)
        if signals.caught:
            return _interrupted(signals)
        if self._job and self._job.stop_is_asked_for:
            by = "`slurm/rl stop`" if self._job.stopped_for_good else "the batch script"
            return End(f"interrupted by {by}; the run can be resumed", INTERRUPTED, REQUEUE)
        return None

    def _wait_for_env_runners(self, alive: int, since: float) -> None:
        """After an iteration that sampled nothing. Raises RunFailed when that has lasted too long."""
        seconds = SECONDS_WITHOUT_ENV_RUNNER
        if time.monotonic() - since > seconds:
            raise RunFailed(
                f"nothing was sampled for {seconds} s: {counted(alive, 'env runner')} alive; see {self._log}"
            )
        time.sleep(POLL)

    def _tell(self, row: Mapping[str, Any]) -> None:
        """Show the row and write it; where the disk refuses, say so and continue: the next one brings it along."""
        if self._began:
            self._began()
            self._began = None
        self._display.row(row)
        try:
            self._record.write(row)
        except OSError as problem:
            self._display.note(
                f"warning: iteration {row['training_iteration']} is not in the files yet: {problem.strerror}"
            )

    @property
    def _log(self) -> Path:
        return self._record.folder / results.LOG

    def _checkpoint(self, algorithm: Host) -> None:
        """Write a checkpoint; where the disk refuses, say so and continue with the ones there are."""
        try:
            self._record.checkpoint(algorithm.save)
        except CheckpointError as problem:
            self._display.note(f"warning: {problem}; the last good one is {self._record.last_checkpoint or 'none'}")
        else:
            self._callbacks.checkpoint(self._record.last_checkpoint)

    def _last_line(self, reason: str) -> str:
        progress = self._record.progress
        mean, steps = progress.episode_return_mean, progress.num_env_steps_sampled_lifetime
        reached = "no episode ended" if mean is None else f"mean return {mean:.1f}"
        kind = "env"
        if self._plan.spec.input:
            kind = "recorded"
            mean = self._record.last_evaluation
            reached = "no evaluation ended" if mean is None else f"mean return {mean:.1f} of the last evaluation"
        return (
            f"done: {reached} after {steps:,} {kind} steps in {progress.time_total_s:.1f} s ({reason});"
            f" checkpoint {self._record.last_checkpoint or 'none'}"
        )


def _interrupted(signals: Signals, how: str = "") -> End:
    assert signals.caught
    return End(f"interrupted by {signals.name}{how}", INTERRUPTED, 128 + signals.caught)


def _check_still_last(plan: Plan, folder: Path) -> None:
    """Refuse a plan that was made while another process was in the run's folder. Raises InputError."""
    if plan.checkpoint and checkpoints.complete(folder / results.CHECKPOINTS)[-1] != plan.checkpoint:
        raise InputError(f"run {folder} has newer checkpoints than {plan.checkpoint.name} now; resume it again")


def _remove_unless_trained(folder: Path) -> None:
    """Take away a run folder that was made for a run that never started."""
    if not (folder / results.RESULT).exists():
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def _of_offline(plan: Plan) -> str:
    """The resources of a run that learns from recorded episodes."""
    gpus, evaluation = plan.layout.num_gpus, plan.layout.evaluation
    where = "a process of its own" if evaluation and evaluation.beside else "the learner"
    parts = f"1 learner with {counted(gpus, 'GPU')}, nothing is sampled, {where} plays the episodes of evaluations"
    if plan.resources is None:
        return f"{parts}, on the learner's node of the job; rollout nodes have nothing to do"
    return f"{plan.resources.cpus}/{available().cpus} CPUs ({parts})"


def _heading(plan: Plan) -> str:
    return f"{plan.spec.algo} ({plan.spec.framework}) on {plan.spec.env.short}"


def _policies_in_words(policies: ManyPolicies | None) -> str:
    if policies is None:
        return "which share one policy"
    names = policies.names
    some = policies.some_learn
    learn = f", of which {', '.join(some)} {'learn' if some[1:] else 'learns'}" if some else ""
    return f"with {len(names)} {'policies' if names[1:] else 'policy'}: {', '.join(names)}{learn}"


def _opponent_in_words(plan: Plan) -> str:
    """Who plays agents that do not learn, and against whom evaluations are; empty where nobody does."""
    spec = plan.spec
    if spec.opponent is None:
        return ""
    every = counted(spec.opponent_every, "iteration")
    own = f"earlier policies of its own, one more every {every}" if spec.opponent == SELF else ""
    evaluated = "; evaluations are against chance" if own and plan.layout.evaluation else ""
    chance = "chance" if spec.opponent == RANDOM else spec.opponent
    others = [name for name in spec.policies.names if name not in spec.learners] if spec.policies else []
    if others:
        return f", {', '.join(others)} played by {chance}"
    return f", the run plays one of them against {own or chance}{evaluated}"


def _processes_in_words(layout: Layout) -> str:
    processes, cores = layout.env_processes, layout.cores_of_runner
    if not processes:
        return ""
    in_them = "one process of its own" if processes == 1 else f"{processes} processes of their own"
    return f"stepped in {in_them} on {counted(cores, 'core')}, "


def _resources_in_words(plan: Plan) -> str:
    runners, envs = plan.layout.num_env_runners, plan.layout.num_envs_per_env_runner
    against = plan.layout.rllib_samples
    if plan.spec.input:
        return _of_offline(plan)
    sampler = f"sampled by RLlib, because {against}" if against else "sampled in NumPy"
    sampler = f"{counted(envs, 'environment')} each, {_processes_in_words(plan.layout)}{sampler}"
    if plan.env.agents:
        sampler += f", {len(plan.env.agents)} agents in each, {_policies_in_words(plan.spec.policies)}"
        sampler += _opponent_in_words(plan)
    if any(view.mask for view in plan.env.views.values()):
        sampler += ", illegal actions masked"
    if plan.spec.normalize_rewards:
        sampler += ", rewards scaled for the learner"
    if plan.resources is None:
        gpus = plan.layout.num_gpus
        parts = f"1 learner with {counted(gpus, 'GPU')}, {counted(runners, 'env runner')}"
        return f"{parts}, {sampler}, on the nodes of the job"
    there = available()
    used = plan.resources
    parts = "everything in one process" if plan.layout.local_mode else f"1 learner, {counted(runners, 'env runner')}"
    return f"{used.cpus}/{there.cpus} CPUs, {plan.layout.num_gpus:g}/{there.gpus} GPUs ({parts}, {sampler})"

"""Watches an iteration that takes long: what the env runners have done of its batch, and who stands still."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rlsif.cluster.heartbeat import EVALUATION, INTERVAL, Heartbeat
from rlsif.errors import RlsifError, counted

# A batch that takes longer than this is slow, in seconds.
SLOW_BATCH = 60.0
# Iterations shorter than this need no word, in seconds.
SHORT = 5.0
# So long after the start of an iteration its speed is known well enough, in seconds.
MEASURED = 15.0
# A runner without a heartbeat for so long has died, or its environment lets no other thread run; in seconds.
SILENT = 10 * INTERVAL
# After so long without a look at heartbeats, in seconds, that time is no runner's.
UNSEEN = 10.0


# An env runner that has ended so often, and lived through no iteration, will not do better.
ENDS = 3


class StandsStill(RlsifError):
    """An env runner makes no progress. Exit code 1."""


class KeepsEnding(RlsifError):
    """The process of an env runner ends again and again, and says nothing. Exit code 1."""


@dataclass
class _Seen:
    """The last heartbeat of a runner, and when it last made progress and last beat."""

    heartbeat: Heartbeat
    progress_at: float
    beat_at: float
    steps_before: int = 0


@dataclass
class Watch:
    """One for a run; looks at heartbeats while a call to the learner is in flight."""

    # Env steps of a batch; 0 where nothing is sampled.
    wanted: int
    # An env runner without progress for so long ends the run, in seconds.
    patience: float
    clock: Callable[[], float] = time.monotonic
    _runners: dict[int, _Seen] = field(default_factory=dict)
    _started: float = 0.0
    # When heartbeats were looked at last.
    _looked: float = 0.0
    # How often the process of a runner has ended on its node, since one lived through a whole iteration.
    _ends: Counter[int] = field(default_factory=Counter)
    # The processes of runners when an iteration ended last.
    _pids: dict[int, int] = field(default_factory=dict)
    # What was not told yet of processes of environments that ended.
    _lost: list[str] = field(default_factory=list)

    def sampled(self) -> None:
        """An iteration has brought rows."""
        pids = {number: seen.heartbeat.pid for number, seen in self._runners.items()}
        for number, _ in self._pids.items() & pids.items():
            self._ends.pop(number, None)
        self._pids = pids

    def begin(self) -> None:
        """A new iteration begins."""
        self._started = self.clock()
        unseen = self._started - self._looked
        for seen in self._runners.values():
            seen.steps_before = seen.heartbeat.steps
            # While a large checkpoint was written nobody looked; a runner may stand still over many short iterations.
            if unseen > UNSEEN:
                seen.progress_at += unseen
        self._looked = self._started if unseen > UNSEEN else self._looked

    def look(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Take the heartbeats of all env runners whose node is there.

        Raises StandsStill for a runner that makes no progress, KeepsEnding for one whose process does not last, and
        what it said last.
        """
        now = self._looked = self.clock()
        there = {beat.runner for beat in heartbeats}
        self._runners = {number: seen for number, seen in self._runners.items() if number in there}
        for beat in heartbeats:
            seen = self._runners.get(beat.runner)
            self._note_lost(beat, seen)
            if seen is None or (beat.ray_node, beat.pid) != (seen.heartbeat.ray_node, seen.heartbeat.pid):
                # A new one, or one that was started again.
                self._runners[beat.runner] = _Seen(beat, now, now)
                if seen and beat.ray_node == seen.heartbeat.ray_node:
                    self._count_end(seen.heartbeat)
                continue
            if (beat.steps, beat.resets, beat.doing) != _state(seen.heartbeat):
                seen.progress_at = now
            if beat.beat != seen.heartbeat.beat:
                seen.beat_at = now
            seen.heartbeat = beat
        self._check(now)

    def _note_lost(self, beat: Heartbeat, seen: _Seen | None) -> None:
        before = seen.heartbeat.lost if seen and seen.heartbeat.pid == beat.pid else 0
        if beat.lost > before:
            self._lost.append(f"env runner {beat.runner} on {beat.node}: {beat.lost_how} ({beat.lost} so far)")

    def lost(self) -> list[str]:
        """What is to be told of processes of environments that ended since the last call."""
        told, self._lost = self._lost, []
        return told

    def _count_end(self, last: Heartbeat) -> None:
        self._ends[last.runner] += 1
        if self._ends[last.runner] >= ENDS:
            raise KeepsEnding(
                f"the process of env runner {last.runner} on {last.node} ended {ENDS} times without an exception,"
                f" at last while it was {last.doing} after {last.steps:,} env steps; an environment that calls"
                " os._exit does that, or a library of it that crashes"
            )

    def _check(self, now: float) -> None:
        busy = [seen for seen in self._runners.values() if seen.heartbeat.doing != "waiting"]
        still = [seen for seen in busy if now - seen.progress_at > self.patience]
        moves = any(now - seen.progress_at <= self.patience for seen in self._runners.values())
        # One that is silent while others move, or wait for the learner, has died, which Ray looks after.
        still = [seen for seen in still if not moves or now - seen.beat_at <= SILENT]
        if still:
            beat = still[0].heartbeat
            who = "the evaluation" if beat.runner == EVALUATION else f"env runner {beat.runner}"
            raise StandsStill(
                f"{who} on {beat.node} has made no step for {now - still[0].progress_at:.0f} s"
                f" (it was {beat.doing} after {beat.steps:,} env steps and {beat.resets:,} resets);"
                " --env-timeout gives it longer"
            )

    @property
    def moved(self) -> bool:
        """Whether a runner has made progress since the iteration began."""
        return any(seen.progress_at > self._started for seen in self._runners.values())

    @property
    def done(self) -> int:
        """Env steps since the iteration began."""
        sampling = [seen for number, seen in self._runners.items() if number != EVALUATION]
        return sum(max(0, seen.heartbeat.steps - seen.steps_before) for seen in sampling)

    @property
    def seconds(self) -> float:
        """Since the iteration began."""
        return self.clock() - self._started

    def told(self) -> str | None:
        """How far the iteration is, in a line; None for a short one."""
        if self.seconds < SHORT or not self._runners or not self.wanted:
            return None
        resetting = sum(seen.heartbeat.doing.startswith("resetting") for seen in self._runners.values())
        waits = f", {counted(resetting, 'env runner')} in a reset" if resetting else ""
        return f"{self.done:,} of {self.wanted:,} env steps of this batch in {self.seconds:.0f} s{waits}"

    def advice(self) -> str | None:
        """What to change where a batch takes longer than a minute; None where it does not, or is not known yet."""
        if self.seconds < MEASURED or not self.done:
            return None
        speed = self.done / self.seconds
        expected = self.wanted / speed
        if expected < SLOW_BATCH:
            return None
        return (
            f"at {speed:,.1f} env steps/s a batch of {self.wanted:,} takes {expected / 60:.1f} minutes;"
            " --set train_batch_size=... makes it smaller, more env runners (--num-cpus, more rollout nodes) faster"
        )


def _state(beat: Heartbeat) -> tuple[int, int, str]:
    return beat.steps, beat.resets, beat.doing

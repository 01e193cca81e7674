"""When a run ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rlsif.errors import InputError

# A run that is given no end gets the environment's own, and this many env steps at most.
DEFAULT_TIMESTEPS = 1_000_000
# A mean return over fewer episodes is a matter of luck.
WINDOW = 100
# An iteration that is under way at the end of the time may take so much longer, in seconds.
SECONDS_TO_COMPLETE = 0.5
# How much longer than the last iteration the next one may well take.
LONGER = 3.0


class AtItsEnd(InputError):
    """A run is to be resumed that has already come to an end that was given."""


@dataclass(frozen=True)
class Stop:
    """The ends that were given; whichever comes first ends the run."""

    reward: float | None = None
    timesteps: int | None = None
    iters: int | None = None
    time_s: float | None = None
    # Whether the return is that of evaluations; else of the last episodes of the training.
    by_evaluation: bool = False

    def __post_init__(self) -> None:
        """Check them. Raises InputError."""
        for name, value in (("timesteps", self.timesteps), ("iters", self.iters), ("time", self.time_s)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"--stop-{name} is {value}; it must be greater than 0")
        if self.reward is not None and not math.isfinite(self.reward):
            raise InputError(f"--stop-reward is {self.reward}; it must be a number")

    def or_default(self, reward_threshold: float | None) -> Stop:
        """These ends, or where none was given the environment's threshold and a million env steps."""
        if any(end is not None for end in (self.reward, self.timesteps, self.iters, self.time_s)):
            return self
        return replace(self, reward=reward_threshold, timesteps=DEFAULT_TIMESTEPS)

    def reached(self, row: Mapping[str, Any]) -> str | None:
        """The first end that a row of progress has come to, in words, or None."""
        if self.reward is not None:
            mean, over = self._mean_return(row)
            # Ten rewards of 0.1 are a little less than 1.
            if mean is not None and (mean >= self.reward or math.isclose(mean, self.reward, rel_tol=1e-9)):
                return f"mean return {mean:.1f} over {over} reached {self.reward:g}"
        if self.timesteps is not None and row["num_env_steps_sampled_lifetime"] >= self.timesteps:
            return f"{self.timesteps:,} env steps"
        if self.iters is not None and row["training_iteration"] >= self.iters:
            return f"{self.iters:,} iteration{'' if self.iters == 1 else 's'}"
        if self.time_s is not None and row["time_total_s"] >= self.time_s:
            return f"{self.time_s:g} s"
        return None

    def overdue(self, seconds: float) -> bool:
        """Whether an iteration that is under way after so many seconds of training is to be given up."""
        return self.time_s is not None and seconds >= self.time_s + SECONDS_TO_COMPLETE

    def may_cut(self, seconds: float, last_iteration: float) -> bool:
        """Whether the next iteration may be given up, after so many seconds and a last one that took so many."""
        return self.time_s is not None and seconds + LONGER * last_iteration > self.time_s

    def _mean_return(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        """The mean that counts, if the row has it, and of what it is one."""
        if self.by_evaluation:
            return row.get("evaluation/episode_return_mean"), f"{row.get('evaluation/episodes')} episodes of evaluation"
        enough = row["episodes_in_mean"] >= WINDOW
        return row["env_runners/episode_return_mean"] if enough else None, f"{WINDOW} episodes"

    def check_not_reached(self, row: Mapping[str, Any]) -> None:
        """Refuse to resume a run that is already past an end. Raises AtItsEnd."""
        reached = self.reached(row)
        if reached:
            raise AtItsEnd(
                f"the run is already at its end: {reached}; give a later one, as in --stop-timesteps 2000000"
            )

    def progress(self, row: Mapping[str, Any]) -> float:
        """How near the nearest end is, from 0 to 1. A return counts from the first one seen only by its share."""
        shares = [0.0]
        for end, now in (
            (self.timesteps, row["num_env_steps_sampled_lifetime"]),
            (self.iters, row["training_iteration"]),
            (self.time_s, row["time_total_s"]),
        ):
            if end is not None:
                shares.append(now / end)
        mean = self._mean_return(row)[0] if self.by_evaluation else row["env_runners/episode_return_mean"]
        if self.reward is not None and self.reward > 0 and mean is not None and mean > 0:
            shares.append(mean / self.reward)
        return min(1.0, max(shares))

    def __str__(self) -> str:
        """The ends in words, as `mean return 475 or 1,000,000 env steps`."""
        words = []
        if self.reward is not None:
            words.append(f"mean return {self.reward:g}")
        if self.timesteps is not None:
            words.append(f"{self.timesteps:,} env steps")
        if self.iters is not None:
            words.append(f"{self.iters:,} iteration{'' if self.iters == 1 else 's'}")
        if self.time_s is not None:
            words.append(f"{self.time_s:g} s")
        return " or ".join(words)

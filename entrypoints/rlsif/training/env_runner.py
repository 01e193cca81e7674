"""RLlib's env runner, with one thing added: an exception inside it reaches the run.

On RLlib's old API stack it does not: the actor exits, is started again, and the run goes
on with nothing sampled. Imported in processes that run RLlib.
"""

from __future__ import annotations

from typing import Any

from ray.rllib.evaluation.rollout_worker import RolloutWorker

from rlsif.cluster.failures import report


class EnvRunner(RolloutWorker):  # type: ignore[misc]
    """A RolloutWorker that reports its first failure to the run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take RolloutWorker's arguments."""
        try:
            super().__init__(*args, **kwargs)
        except Exception as problem:
            report(problem)
            raise

    def sample(self, **kwargs: Any) -> Any:
        """Sample as RolloutWorker does."""
        try:
            return super().sample(**kwargs)
        except Exception as problem:
            report(problem)
            raise

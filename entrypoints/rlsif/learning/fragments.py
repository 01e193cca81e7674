"""A queue of what env runners sample, each at its own pace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray

from rlsif import private_api

# Distinguishes these calls from others to the same env runners.
TAG = "fragment"


class Fragments:
    """Asks env runners for fragments; each gets the newest weights with the call, and never waits for another."""

    def __init__(self, group: Any) -> None:
        """Take RLlib's group of env runners."""
        self._group = group
        self._sent: dict[str, Any] = {}

    def send(self, weights: Mapping[str, Any], global_vars: Mapping[str, Any]) -> None:
        """Let env runners sample by these weights, by policies, from their next call on."""
        if self._group.num_remote_env_runners():
            self._sent = {"weights": ray.put(weights), "global_vars": global_vars}

    def ask(self, runners: list[int] | None = None) -> None:
        """Ask these env runners for a fragment, or all, also those that joined; but none that has one on its way."""
        if self._group.num_remote_env_runners():
            self._group.foreach_env_runner_async("sample", tag=TAG, kwargs=self._sent, remote_worker_ids=runners)

    def next(self, seconds: float) -> list[Any]:
        """RLlib's batches that are there, after at most so many seconds; the learner's own env runner samples now.

        None may also mean that all env runners have failed.
        """
        if self._group.num_remote_env_runners() == 0:
            return [self._group.local_env_runner.sample()]
        if seconds:
            self.ask()
            private_api.wait_for_any(self._group, TAG, seconds)
        answers = self._group.fetch_ready_async_reqs(tags=TAG, timeout_seconds=0.0)
        if answers:
            self.ask([runner for runner, _ in answers])
        return [batch for _, batch in answers]

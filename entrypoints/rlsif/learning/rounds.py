"""Rounds of sampling by all env runners, one ahead where they are processes of their own."""

from __future__ import annotations

from typing import Any

# Distinguishes these calls from others to the same env runners.
TAG = "round"
# RLlib would come back without what is not there yet.
NO_LIMIT = None


class Rounds:
    """What env runners sampled, round by round.

    Those that are processes of their own sample a round while the learner learns from the one before: by weights that
    are as old as the updates of one round. The learner's own samples when it is asked.
    """

    def __init__(self, group: Any, fragments: int) -> None:
        """Take RLlib's group of env runners, and how many fragments each samples in a round."""
        self._group, self._fragments, self._asked = group, fragments, False

    @property
    def ahead(self) -> int:
        """How many rounds the env runners are ahead of the weights."""
        return int(self._asked)

    def next(self) -> list[Any]:
        """The batches of a round; none where all env runners have failed."""
        if self._group.num_remote_workers() == 0:
            return [self._group.local_env_runner.sample(fragments=self._fragments)]
        if not self._asked:
            self._ask()
        answers = self._group.fetch_ready_async_reqs(tags=TAG, timeout_seconds=NO_LIMIT)
        self._asked = False
        if answers:
            self._ask()
        return [batch for _, batch in answers]

    def _ask(self) -> None:
        several = {"fragments": self._fragments}
        self._asked = self._group.foreach_env_runner_async("sample", tag=TAG, kwargs=several) > 0

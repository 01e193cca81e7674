"""What env runners are asked for after an iteration, though they may be in the middle of a long sample.

One that has not answered in time answers in a later iteration. RLlib waits for a minute, or for ten seconds, and drops
what comes after that: of a slow simulator all episodes and all that filters saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import ray
from ray.rllib.evaluation.metrics import RolloutMetrics

from rlsif import private_api

SECONDS = 5.0


class Asking:
    """Calls of one method of env runners; none is asked again before it has answered."""

    def __init__(self, method: str, *arguments: Any) -> None:
        """Name the method."""
        self._method, self._arguments = method, arguments
        # By group, the calls that are not answered yet, by the number of the env runner.
        self._asked: WeakKeyDictionary[Any, dict[int, Any]] = WeakKeyDictionary()

    def answers(self, group: Any) -> dict[int, Any]:
        """Ask the env runners of a group; give what has been answered by now, by number."""
        runners, before = private_api.healthy_env_runners(group), self._asked.get(group, {})
        # The call of one whose node has gone may never be answered, though it came back elsewhere.
        asked = {number: before.get(number) or self._ask(runner) for number, runner in runners.items()}
        calls = list(asked.values())
        answered = set(ray.wait(calls, num_returns=len(calls), timeout=SECONDS)[0]) if calls else set()
        self._asked[group] = {number: call for number, call in asked.items() if call not in answered}
        found = {number: _answer(call) for number, call in asked.items() if call in answered}
        return {number: answer for number, answer in found.items() if answer is not None}

    def _ask(self, runner: Any) -> Any:
        return getattr(runner, self._method).remote(*self._arguments)


def _answer(call: Any) -> Any:
    try:
        return ray.get(call)
    except ray.exceptions.RayError:
        # It has died; other calls find that out.
        return None


_EPISODES, _FILTERS = Asking("get_metrics"), Asking("get_filters", True)


def episodes(group: Any) -> list[RolloutMetrics]:
    """The episodes of a group that ended and were not told yet, as far as they are known by now."""
    local = group.local_env_runner
    ended: list[RolloutMetrics] = list(local.get_metrics()) if local else []
    for answer in _EPISODES.answers(group).values():
        ended += answer
    return ended


def sync_filters(filters: Mapping[str, Any], group: Any) -> None:
    """Let the learner's filters have what those of env runners saw, and these the learner's, as RLlib does."""
    answers, runners = _FILTERS.answers(group), private_api.healthy_env_runners(group)
    for seen in answers.values():
        for name, mine in filters.items():
            mine.apply_changes(seen[name], with_buffer=False)
    if answers:
        merged = ray.put({name: mine.as_serializable() for name, mine in filters.items()})
        for number in answers.keys() & runners.keys():
            # Nobody waits for it: a call goes before those that come later.
            runners[number].sync_filters.remote(merged)

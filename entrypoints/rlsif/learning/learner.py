"""The learner: RLlib's Algorithm of a run, in one actor on the learner's node, or in this process in local mode."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlsif.envs.find import FoundEnv
from rlsif.envs.metrics import ENV_TIME_SHARE, HISTORY, OF_AGENTS, WON
from rlsif.learning.catalogue import catalogue
from rlsif.learning.finite import check_weights
from rlsif.learning.old_names import know_old_names
from rlsif.learning.rllib import import_rllib
from rlsif.learning.spec import Layout, RunSpec, check_sampler


class Learner:
    """Builds, steps, saves and restores an Algorithm; what it returns is plain data."""

    def build(self, spec: RunSpec, layout: Layout, env: FoundEnv) -> dict[str, Any]:
        """Build the algorithm and its env runners; give its settings as JSON can hold them."""
        import_rllib()
        from rlsif.learning.build import build

        check_sampler(spec, layout)
        self._algorithm, self._env = build(spec, layout, env), env
        self._offline = catalogue()[spec.algo].offline
        # RLlib sends weights only after the first update.
        self._algorithm.env_runner_group.sync_weights()
        self._opposition = None
        if spec.opponent:
            from rlsif.learning.opponents import Opposition

            self._opposition = Opposition(self._algorithm, spec)
        self._elastic = None
        if layout.elastic:
            from rlsif.learning.elastic import Elastic

            sampler = None if layout.rllib_samples else catalogue()[spec.algo].sampler_class()
            self._elastic = Elastic(self._algorithm, shares_batch=bool(sampler and sampler.SHARES_BATCH))
        self._evaluations = None
        if layout.evaluation:
            from rlsif.learning.evaluations import Evaluations

            self._evaluations = Evaluations(self._algorithm, layout, env)
        settings = {name: value for name, value in self._algorithm.config.to_dict().items() if name != "rlsif"}
        readable: dict[str, Any] = json.loads(json.dumps(settings, default=str, skipkeys=True))
        return readable

    def notes(self) -> list[str]:
        """What the first lines of a run tell beside its settings."""
        told: list[str] = getattr(self._algorithm, "notes", list)()
        return told

    def build_as_it_is_sampled(self, spec: RunSpec, layout: Layout, env: FoundEnv) -> dict[str, Any]:
        """The same for settings that nobody has judged yet, as a sweep has them: RLlib samples what NumPy cannot."""
        import_rllib()
        from rlsif.learning.build import against_sampling, configure

        against = against_sampling(spec, configure(spec, layout, env), env)
        return self.build(spec, replace(layout, rllib_samples=against), env)

    def step(self, evaluate: int | None = None) -> dict[str, Any]:
        """Train one iteration; give counters, learner statistics and timers, and the episodes that ended.

        `evaluate` is the number of the iteration where its policy is to be evaluated; what an evaluation came to is
        given, too, once it has ended.
        """
        if self._elastic:
            self._elastic.adjust()
        if self._opposition:
            self._opposition.before_iteration()
        result = self._algorithm.train()
        if self._opposition:
            self._opposition.after_iteration()
        if self._evaluations and evaluate:
            self._evaluations.begin(evaluate)
        return {
            "num_env_steps_sampled_lifetime": int(result["num_env_steps_sampled_lifetime"]),
            "num_healthy_workers": int(result["num_healthy_workers"]),
            "evaluation": self._evaluations.ended() if self._evaluations else None,
            "statistics": _numbers({"info": {"learner": result["info"]["learner"]}, "timers": result["timers"]}),
            **({} if self._offline else self._of_sampling(result)),
        }

    def _of_sampling(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """What has to do with the episodes that ended."""
        runners = result.get("env_runners", {})
        ended = int(runners.get("episodes_this_iter") or 0)
        history = runners.get("hist_stats", {})
        share = runners.get("sampler_perf", {}).get(ENV_TIME_SHARE)
        return {
            "returns": [float(r) for r in history.get("episode_reward", [])[-ended:]] if ended else [],
            "lengths": [int(n) for n in history.get("episode_lengths", [])[-ended:]] if ended else [],
            "metrics": [dict(m) for m in history.get(HISTORY, [])[-ended:]] if ended else [],
            "won": [float(share) for share in history.get(WON, [])[-ended:] if share is not None] if ended else [],
            "env_time_share": None if share is None else float(share),
            **self._of_agents(result, history.get(OF_AGENTS, [])[-ended:] if ended else []),
        }

    def _of_agents(self, result: Mapping[str, Any], returns: Sequence[Mapping[str, float]]) -> dict[str, Any]:
        """What an environment of many agents has beside."""
        if not self._algorithm.config.rlsif.agents:
            return {}
        steps = int(result["num_agent_steps_sampled_lifetime"])
        policies = {name: list(view.agents) for name, view in self._env.policies.items()}
        agents = [dict(each) for each in returns]
        return {"agents": agents, "policies": policies, "num_agent_steps_sampled_lifetime": steps}

    def evaluation(self) -> dict[str, Any] | None:
        """What the evaluation that is under way comes to; None where there is none."""
        return self._evaluations.ended(wait=True) if self._evaluations else None

    def make_up(self, iteration: int, checkpoint: str) -> bool:
        """Evaluate the policy of a checkpoint, before one is loaded; give True."""
        if self._evaluations:
            self._evaluations.make_up(iteration, Path(checkpoint))
        return True

    def save(self, folder: str) -> bool:
        """Write RLlib's own checkpoint into an existing folder; give True.

        Raises OSError where that fails, SpoiltWeights where there is nothing worth it.
        """
        for name in self._env.views:
            check_weights(_by_name(self._algorithm.get_policy(name).get_weights()))
        self._algorithm.save_checkpoint(folder)
        return True

    def restore(self, folder: str) -> str:
        """Load RLlib's own checkpoint, and let the env runners have its weights; give what the user should know."""
        know_old_names()
        self._algorithm.load_checkpoint(folder)
        self._algorithm.env_runner_group.sync_weights()
        return getattr(self._algorithm, "note_of_resume", "")

    def stop(self) -> None:
        """Stop the algorithm and its env runners."""
        self._algorithm.stop()
        if self._evaluations:
            self._evaluations.stop()


def _by_name(weights: Any) -> Mapping[str, Any]:
    """Weights as RLlib's policies give them: with tf by name, with tf2 in a list."""
    return weights if isinstance(weights, Mapping) else {str(n): each for n, each in enumerate(weights)}


def _numbers(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numeric leaves of nested mappings, their keys joined by `/`, as RLlib's users know them."""
    flat: dict[str, float] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(_numbers(value, f"{name}/"))
        elif isinstance(value, (int, float)) or (hasattr(value, "ndim") and value.ndim == 0):
            flat[name] = float(value)
    return flat

"""An environment of many agents as RLlib's own sampler steps it.

Imported in processes that run RLlib with TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.rllib.env.multi_agent_env import MultiAgentEnv

from rlsif.envs.adapted import Translation
from rlsif.envs.agents import ALL, AgentError, AgentId, ManyAgents, Outcome
from rlsif.envs.metrics import ENDED, NoNumber
from rlsif.envs.progress import PROGRESS
from rlsif.envs.slots import OfAgents
from rlsif.errors import RlsifError


class AdaptedAgents(MultiAgentEnv):  # type: ignore[misc]
    """Encodes what each agent sees, and turns what its policy chose into actions."""

    def __init__(self, env: ManyAgents, translations: Mapping[str, Translation]) -> None:
        """Take an environment, and by the name of each agent what translates between it and its policy."""
        self.agents = self.possible_agents = list(env.agents)
        of = self._translation = {agent: translations[str(agent)] for agent in env.agents}
        self.observation_spaces = {agent: each.observation_space for agent, each in of.items()}
        self.action_spaces = {agent: each.action_space for agent, each in of.items()}
        super().__init__()
        self._env, self._metrics = env, OfAgents()
        self._encoded: dict[AgentId, Any] = {}
        if hasattr(env, "set_task"):
            self.set_task = env.set_task

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[AgentId, Any], dict[AgentId, Any]]:
        """Begin an episode."""
        outcome = self._env.reset(seed)
        for translation in self._translation.values():
            translation.steps = 0
        PROGRESS.resets += 1
        self._encode(outcome, set(outcome.acting))
        return self._encoded, {}

    def step(self, action_dict: Mapping[AgentId, Any]) -> tuple[dict[Any, Any], ...]:
        """Act by what the policy chose for each agent. Raises RlsifError."""
        actions = {agent: self._translation[agent].action(a, self._encoded[agent]) for agent, a in action_dict.items()}
        try:
            outcome = self._env.step(actions)
            for translation in set(self._translation.values()):
                translation.steps += 1
            PROGRESS.steps += 1
            self._metrics.take(outcome)
            if outcome.over:
                ENDED.append(self._metrics.ended())
        except (AgentError, NoNumber) as problem:
            raise RlsifError(f"the environment: {problem}") from None
        terminated, truncated = dict(outcome.terminated), dict(outcome.truncated)
        ended = {agent for agent in terminated if terminated[agent] or truncated[agent]}
        self._encode(outcome, {*outcome.acting, *ended})
        rewards = {agent: self._translation[agent].reward(reward) for agent, reward in outcome.rewards.items()}
        # What RLlib is told of all holds for each: where one was cut off, the others' own flags say how they ended.
        cut = any(truncated.values())
        terminated[ALL], truncated[ALL] = outcome.over and not cut, outcome.over and cut
        return self._encoded, rewards, terminated, truncated, {}

    def _encode(self, outcome: Outcome, whose: set[AgentId]) -> None:
        seen = {agent: told for agent, told in outcome.seen.items() if agent in whose}
        self._encoded = {agent: self._translation[agent].encoded(*told) for agent, told in seen.items()}

    def render(self) -> Any:
        """As the environment's."""
        return self._env.render()

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

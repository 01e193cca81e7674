"""Several policies of many agents, as RLlib's settings have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from ray.rllib.policy.policy import PolicySpec

from rlsif.envs.find import FoundEnv
from rlsif.learning.spec import ManyPolicies


class ByAgent:
    """RLlib's policy_mapping_fn."""

    def __init__(self, of_agents: Mapping[str, str]) -> None:
        """Take the policy of each agent, by its name."""
        self._of_agents = dict(of_agents)

    def __call__(self, agent_id: Any, *_: Any, **__: Any) -> str:
        """The policy of an agent, in every episode."""
        return self._of_agents[str(agent_id)]

    def __repr__(self) -> str:
        """As params.json has it."""
        return str(self._of_agents)


def set_policies(
    config: Any, policies: ManyPolicies, spaces: Mapping[str, tuple[Any, Any]], models: Mapping[str, Any]
) -> None:
    """Give a config of RLlib's the policies, of which each has spaces and settings of its network."""
    # RLlib merges what models of other classes are made with.
    config.model = {**config.model, "custom_model": None, "custom_model_config": {}}
    config.multi_agent(
        policies={name: PolicySpec(None, *spaces[name], {"model": dict(models[name])}) for name in policies.names},
        policy_mapping_fn=ByAgent(policies.of_agents),
        policies_to_train=list(policies.train),
    )


def only_policy(config: Any, name: str) -> Any:
    """The settings of one of the policies, as if there were no other."""
    own, default = config.copy(copy_frozen=False), type(config)()
    own.model = config.rlsif.models[name]
    own.policies, own.policy_mapping_fn = default.policies, default.policy_mapping_fn
    return own


def spaces_of_agents(env: FoundEnv, spaces: Mapping[str, tuple[Any, Any]]) -> tuple[Any, Any]:
    """The spaces of observations and actions of all agents, of `spaces` by policy."""
    of_agents = {agent: spaces[name] for name, view in env.policies.items() for agent in view.agents}
    observations, actions = ({agent: pair[part] for agent, pair in of_agents.items()} for part in (0, 1))
    return gymnasium.spaces.Dict(observations), gymnasium.spaces.Dict(actions)

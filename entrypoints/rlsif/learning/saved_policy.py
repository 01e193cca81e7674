"""An agent out of a checkpoint, without the rest of the algorithm: it acts and no longer learns."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.episodes import Acts, Team
from rlsif.envs.find import ONE, FoundEnv
from rlsif.learning.rllib import import_rllib

# RLlib looks when it is imported.
import_rllib()

# ruff: noqa: E402
from ray.rllib.policy.policy import Policy
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.framework import try_import_tf

from rlsif.errors import RlsifError
from rlsif.learning import masked_models, own_model, own_network
from rlsif.learning.old_names import know_old_names
from rlsif.learning.past import Past
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter, joined, policy_space
from rlsif.policies.encoder import MisfitError

# Where RLlib's checkpoint of an algorithm has what is needed.
POLICY, STATE = "policies/{}/policy_state.pkl", "algorithm_state.pkl"


def load(
    checkpoint: Path, framework: str, seed: int, names: Iterable[str], network: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The policies of a checkpoint and their observation filters, by their names.

    `seed` is that of actions that are drawn; `network` names the class of the user's own network, which may have moved.
    """
    know_old_names()
    found = {name: of_state(_state(checkpoint, name), framework, seed, network) for name in names}
    return found, _filters(checkpoint)


def weights_and_filters(checkpoint: Path, names: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights of a checkpoint's policies and their observation filters, by their names."""
    know_old_names()
    return {name: pickle.loads(_state(checkpoint, name))["weights"] for name in names}, _filters(checkpoint)


def _state(checkpoint: Path, policy: str) -> bytes:
    return (checkpoint / POLICY.format(policy)).read_bytes()


def _filters(checkpoint: Path) -> dict[str, Any]:
    """By policies; none where nothing is filtered."""
    return dict(pickle.loads((checkpoint / STATE).read_bytes())["worker"]["filters"])


def of_state(pickled: bytes, framework: str, seed: int, network: str | None = None) -> Any:
    """The policy of a state that RLlib's policies give; once in a process."""
    tf1, _, _ = try_import_tf()
    # A state that is unpickled before would have tensors of a graph in it.
    if framework == "tf2":
        tf1.enable_eager_execution()
    masked_models.register()
    own_model.register()
    tf1.set_random_seed(seed)
    state = pickle.loads(pickled)
    # It may be from a machine with GPUs.
    settings = state["policy_spec"]["config"]
    settings["num_gpus"] = 0
    if network:
        own_network.put_name(settings["model"], network)
    return Policy.from_state(state)


def acting(
    policies: Mapping[str, Any],
    filters: Mapping[str, Any],
    env: FoundEnv,
    slots: int,
    others: Mapping[str, Acts] | None = None,
) -> Acts:
    """What acts for all agents of an environment by policies of RLlib's, which have names; each agent has a slot.

    `others` are who acts in the place of some of several policies, by the policies' names.
    """
    made = {name: Agent(policies[name], filters.get(name), view, slots) for name, view in env.views.items()}
    if not env.policies:
        return made[ONE]
    players: dict[str, Acts] = {**made, **(others or {})}
    return Team({agent: players[name] for name, view in env.policies.items() for agent in view.agents}, env)


def adapted_by(settings: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the actions of a policy with these settings are normalized, and clipped, for its environment."""
    # Runs of version 0.1 left that to RLlib.
    adapted = settings.get("rlsif")
    if adapted:
        return adapted.normalize_actions, adapted.clip_actions
    return settings["normalize_actions"], settings["clip_actions"]


class Agent:
    """Acts in several environments at once, as RLlib's own sampler would with the same policy."""

    def __init__(self, policy: Any, observation_filter: Any, env: FoundEnv, slots: int) -> None:
        """Take a policy of RLlib's, and the filter of its observations or None; each agent has a slot."""
        self._policy = policy
        settings = policy.config
        self.encoded = _encoding(env)
        self._env, self._mask = env.ref.name, masks.size_of(env.observations)
        self._filter = masks.without_filter_on_masks(_without_updates(observation_filter), self._mask)
        normalize, clip = adapted_by(settings)
        # Whether the policy's numbers are between -1 and 1, and not in the bounds of the environment.
        self.normalizes = bool(normalize)
        self._adapter = ActionAdapter(env.actions, normalize, clip)
        self._chosen_from = policy_space(env.actions, normalize)
        self._past = Past(policy, slots)

    def act(self, seen: list[tuple[Any, Mapping[str, Any]]], slots: list[int], deterministic: bool) -> list[Any]:
        """An action for each of these slots, as the environment takes it; `seen` are observations and their infos."""
        return self.actions(self.choose(seen, slots, deterministic)[1])

    def choose(
        self, seen: list[tuple[Any, Mapping[str, Any]]], slots: list[int], deterministic: bool
    ) -> tuple[list[Any], NDArray[Any]]:
        """What the policy sees, before a filter, and what it chooses, for each of these slots."""
        encoded = [self.encoded(*each) for each in seen]
        _check_finite(self._env, encoded)
        if self._mask:
            self._check(np.array(encoded))
        filtered = np.array([self._filter(each) for each in encoded])
        if not self._past:
            return encoded, joined(self._policy.compute_actions(filtered, explore=not deterministic)[0])
        sees = {"obs": filtered, **self._past.seen(slots)}
        actions, states, _ = self._policy.compute_actions_from_input_dict(SampleBatch(sees), explore=not deterministic)
        chosen = joined(actions)
        self._past.acted(slots, chosen, states)
        return encoded, chosen

    def actions(self, chosen: NDArray[Any]) -> list[Any]:
        """What was chosen, as the environment takes it."""
        return self._adapter.each(chosen)

    def _check(self, encoded: NDArray[Any]) -> None:
        wrong = masks.wrong(encoded, self._chosen_from, self._mask)
        if wrong:
            raise RlsifError(f"environment {self._env}: {wrong[1]}")

    def rewarded(self, slot: int, reward: float) -> None:
        """Take what the agent of a slot got."""
        self._past.rewarded(slot, reward)

    def forget(self, slot: int) -> None:
        """Begin a new episode there."""
        self._past.forget(slot)


def _check_finite(env: str, encoded: list[Any]) -> None:
    """Refuse what no policy can act by. Raises RlsifError."""
    for each in encoded:
        if each.dtype.kind == "f" and not np.isfinite(each).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(each))[0])
            raise RlsifError(f"environment {env} gave {each[place]} as observation{list(place)}; `check` tells more")


def _without_updates(observation_filter: Any) -> Callable[[Any], Any]:
    """A filter of RLlib's, or None, as what learns nothing from the observations that it is given."""
    if observation_filter is None:
        return lambda observation: observation
    return lambda observation: observation_filter(observation, update=False)


def _encoding(env: FoundEnv) -> Callable[[Any, Mapping[str, Any]], Any]:
    """What makes of an observation what the policy sees."""
    encode = masks.encoder_of(env.observations).one

    def encoded(observation: Any, info: Mapping[str, Any]) -> Any:
        try:
            return encode(observation, info)
        except masks.MaskError as problem:
            raise RlsifError(f"environment {env.ref.name}: {problem}") from None
        except MisfitError as problem:
            what = "the observation is not in the observation space"
            raise RlsifError(f"environment {env.ref.name}: {what}: {problem}; `check` tells more") from None

    return encoded

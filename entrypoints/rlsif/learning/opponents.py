"""The opponents of a run in the learner's process: where they come from, and how they play in evaluations.

Imported in processes that run RLlib with TensorFlow.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from rlsif.envs.duel import RANDOM, Duel, Random
from rlsif.envs.episodes import Acts, Team
from rlsif.envs.find import FoundEnv
from rlsif.errors import RlsifError
from rlsif.learning.old_names import know_old_names
from rlsif.learning.saved_policy import POLICY, STATE, Agent, acting, adapted_by
from rlsif.learning.spec import RunSpec
from rlsif.policies import masks
from rlsif.policies.actions import policy_space
from rlsif.sampling.filters import statistics_of
from rlsif.sampling.opponents import OPPONENTS, SELF, Learned, Opponent, Pool, Trained

# Of RLlib's settings, those by which a policy acts.
BY_WHICH_IT_ACTS = (
    "model", "hiddens", "dueling", "exploration_config", "policy_model_config", "normalize_actions", "clip_actions",
)  # fmt: skip


class Opposition:
    """Keeps the opponents of a run, and lets its env runners have them."""

    def __init__(self, algorithm: Any, spec: RunSpec) -> None:
        """Take the run's algorithm."""
        self._algorithm, self._spec = algorithm, spec
        self._pool: Pool = algorithm.env_runner.pool
        if spec.opponent == SELF:
            self._pool.add(self._as_it_is())
            self._send()

    def before_iteration(self) -> None:
        """Have another run's policies, unless a checkpoint of this run has brought them. Raises RlsifError."""
        if self._spec.opponent in (SELF, RANDOM) or self._pool.opponents:
            return
        self._pool.add(of_checkpoint(Path(str(self._spec.opponent))))
        self._send()

    def after_iteration(self) -> None:
        """Count an iteration; where it is time, keep the policy as it is now as an opponent."""
        self._pool.iterations += 1
        if self._spec.opponent == SELF and self._pool.iterations % self._spec.opponent_every == 0:
            self._pool.add(self._as_it_is())
            self._send()

    def _as_it_is(self) -> Opponent:
        """The run's policy now."""
        filters, trained = self._algorithm.env_runner.filters, {}
        for name in self._algorithm.config.rlsif.views:
            policy = self._algorithm.get_policy(name)
            seen = filters.get(name)
            trained[name] = _trained(policy.config, policy.get_weights(), seen, int(policy.global_timestep))
        return Opponent(trained, {})

    def _send(self) -> None:
        group = self._algorithm.env_runner_group
        if group.num_remote_env_runners():
            # Once for all env runners of a node.
            pool = ray.put(Pool(self._pool.opponents, self._pool.iterations))
            group.foreach_env_runner(lambda w: w.set_opponents(ray.get(pool)), local_env_runner=False)


def _trained(settings: Mapping[str, Any], weights: Any, rllib_filter: Any, timestep: int) -> Trained:
    normalize, clip = adapted_by(settings)
    acts = {name: settings[name] for name in BY_WHICH_IT_ACTS if name in settings}
    acts.update(normalize_actions=normalize, clip_actions=clip)
    return Trained(settings["rlsif"].sampler, acts, weights, statistics_of(rllib_filter), timestep)


def of_checkpoint(checkpoint: Path) -> Opponent:
    """The policies of another run's checkpoint, whatever their networks and their algorithm are.

    Raises RlsifError for one that has gone, as that of a run that still trains may.
    """
    know_old_names()
    names = sorted(path.parent.name for path in checkpoint.glob(POLICY.format("*")))
    try:
        states = {name: pickle.loads((checkpoint / POLICY.format(name)).read_bytes()) for name in names}
        filters = pickle.loads((checkpoint / STATE).read_bytes())["worker"]["filters"]
    except OSError as problem:
        raise RlsifError(
            f"--opponent {checkpoint} cannot be read in the learner's process: {problem.strerror}; a run that still"
            " trains removes its old checkpoints"
        ) from problem
    trained, of_agents = {}, {}
    for name, state in states.items():
        settings = state["policy_spec"]["config"]
        trained[name] = _trained(settings, state["weights"], filters.get(name), int(state["global_timestep"]))
        of_agents.update(dict.fromkeys(settings["rlsif"].views[name].agents, name))
    # One policy acts for agents of any names.
    return Opponent(trained, of_agents if names[1:] else {})


def pool_of(checkpoint: Path) -> Pool:
    """The opponents that a checkpoint of a run has."""
    know_old_names()
    pool: Pool = pickle.loads((checkpoint / STATE).read_bytes())["worker"][OPPONENTS]
    return pool


def fixed(named: str | None, pool: Pool) -> Opponent | None:
    """The opponent of evaluations where it is another run.

    None for chance, which evaluates those with earlier policies of their own, too: it stays the same.
    """
    return None if named in (None, RANDOM, SELF) else pool.opponents[0]


def acting_against(
    policies: Mapping[str, Any],
    filters: Mapping[str, Any],
    env: FoundEnv,
    slots: int,
    learners: Sequence[str],
    theirs: Acts,
) -> Acts:
    """What acts for all agents in evaluations: policies of RLlib's, as `acting` has them, and who plays against them.

    `learners` are the policies that learn where there are several; the opponent plays the others. Where there is one,
    it plays all agents but one, which is another in each episode.
    """
    if learners:
        others = {name: theirs for name in env.policies if name not in learners}
        return acting(policies, filters, env, slots, others)
    return Duel(acting(policies, filters, env, slots), theirs, len(env.agents))


def plays(opponent: Opponent | None, env: FoundEnv, slots: int, seed: int) -> Acts:
    """What acts for all agents by an opponent, which draws its actions as it does in training; None is chance."""
    if opponent is None:
        return Random(env, seed)
    random = np.random.default_rng(seed)
    made: dict[tuple[int, int], Acts] = {}
    players = {}
    for name in env.agents:
        trained, view = opponent.policy_of(name), env.seen_by(name)
        key = id(trained), id(view)
        if key not in made:
            made[key] = Agent(_InNumPy(trained, view, random), None, view, slots)
        players[name] = made[key]
    return Team(players, env)


class _InNumPy:
    """What an `Agent` asks of a policy of RLlib's, by the network in NumPy."""

    def __init__(self, trained: Trained, view: FoundEnv, random: np.random.Generator) -> None:
        self.config, self._random = trained.settings, random
        actions = policy_space(view.actions, bool(trained.settings["normalize_actions"]))
        mask = masks.size_of(view.observations)
        self._learned = Learned(trained, actions, mask, masks.encoder_of(view.observations).seen)

    def get_initial_state(self) -> list[Any]:
        """There is no memory."""
        return []

    @property
    def view_requirements(self) -> dict[str, Any]:
        """Nothing of earlier steps is seen."""
        return {}

    def compute_actions(
        self, observations: NDArray[Any], explore: bool
    ) -> tuple[NDArray[Any], list[Any], dict[str, Any]]:
        """Actions for encoded observations [n, ...]."""
        return self._learned.choose(observations, self._random), [], {}

"""Collects the experience that PPO with an LSTM learns from: rows, and sequences of them with the states before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.vector import Step
from rlsif.policies import networks, recurrent
from rlsif.policies.distributions import of_actions
from rlsif.policies.encoder import Seen
from rlsif.policies.spaces import Space
from rlsif.sampling.samplers import Array, PPOSampler


class RecurrentPPOSampler(PPOSampler):
    """For PPO with an LSTM."""

    @classmethod
    def model_unsupported(cls, model: Mapping[str, Any], defaults: Mapping[str, Any], seen: Seen) -> str | None:
        """Why a model of RLlib's cannot be computed here, in a few words; None where it can."""
        return recurrent.unsupported(model, seen) or networks.unsupported({**model, "use_lstm": False}, defaults, seen)

    def _make_policy(self, config: Mapping[str, Any], seen: Seen, actions: Space) -> None:
        environments = len(self._environments.active)
        self._policy = recurrent.RecurrentActorCritic(config["model"], seen, environments)
        self._distribution = of_actions(actions)
        self._longest = int(config["model"]["max_seq_len"])

    def _choose(self) -> dict[str, Array]:
        output, cells = self._policy.state
        return {**super()._choose(), "state_in_0": output, "state_in_1": cells}

    def take(self, step: Step) -> Array:
        """Append the row of what was chosen, and forget what was seen of episodes that ended."""
        next_obs = super().take(step)
        # Where an environment only begins an episode, nothing was seen of it.
        self._policy.forget(self._done | ~self._active)
        return next_obs

    def _values_at(self, observations: Array, which: NDArray[np.intp]) -> Array:
        values: Array = self._policy.values(observations[which], which)
        return values

    def batch(self) -> dict[str, Array]:
        """The rows since `begin`, the lengths of their sequences, which end with an episode, and the states before."""
        batch, rows = super().batch(), self._rows
        env, step = np.nonzero(rows["valid"].T)
        ends = (rows["terminateds"] | rows["truncateds"])[step, env] | np.append(env[1:] != env[:-1], True)
        starts, lengths = sequences(ends, self._longest)
        states = {name: rows[name][step[starts], env[starts]] for name in ("state_in_0", "state_in_1")}
        return {**batch, **states, "seq_lens": lengths}


def sequences(ends: NDArray[np.bool_], longest: int) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """The first row and the length of each sequence, of rows [rows] of which some are the last of an episode or part.

    As RLlib cuts them: from the first row on, so that the last sequence may be shorter.
    """
    lasts = np.flatnonzero(ends)
    firsts = np.append(0, lasts[:-1] + 1)
    cuts = [np.arange(first, last + 1, longest) for first, last in zip(firsts.tolist(), lasts.tolist())]
    starts = np.concatenate(cuts)
    return starts, np.diff(np.append(starts, len(ends))).astype(np.int32)

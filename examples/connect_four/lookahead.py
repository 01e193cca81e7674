"""Lets a trained policy play against one that looks a move ahead: python lookahead.py RUN [GAMES]."""

import sys
from pathlib import Path

import numpy as np

from rlsif.envs.duel import Duel, results
from rlsif.envs.episodes import play
from rlsif.envs.find import find, make
from rlsif.learning.saved_policy import acting, load
from rlsif.training.saved import BEST, checkpoint_of, spec_of

# Games that are played at once.
TABLES = 20


class Lookahead:
    """Wins if it can, blocks if it must, and else drops its piece anywhere."""

    def __init__(self, seed):
        """Draw by a seed."""
        self._random = np.random.default_rng(seed)

    def act(self, seen, slots, deterministic):
        """A column for each of these players, by what each sees."""
        return [self._column(**observation) for observation, _ in seen]

    def _column(self, observation, action_mask):
        wins, blocks = np.flatnonzero(observation[2].any(axis=1)), np.flatnonzero(observation[3].any(axis=1))
        for columns in (wins, blocks):
            if len(columns):
                return int(columns[0])
        return int(self._random.choice(np.flatnonzero(action_mask)))

    def rewarded(self, slot, reward):
        """It learns nothing."""

    def forget(self, slot):
        """It remembers nothing."""


def main(run, games=100):
    """Play so many games by the likeliest actions of the run's best checkpoint, which begins every second one."""
    checkpoint = checkpoint_of(Path(run), "RUN", BEST)
    spec = spec_of(checkpoint.parent.parent)
    env, tables = find(spec.env), [make(spec.env) for _ in range(TABLES)]
    mine = acting(*load(checkpoint, spec.framework, 0, env.views), env, TABLES * len(env.agents))
    told = results(play(Duel(mine, Lookahead(0), len(env.agents)), tables, games, 0, True), env.agents)
    print(f"against one that looks a move ahead: won {told['wins']}, drew {told['draws']} and lost {told['losses']}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

"""Runs inside the image: one game beside ale-py's vector environment of a single copy, as one JSON object a game.

Usage: same_atari.py FOLDER, where ale-py is.
"""

import json
import sys

import numpy as np

from rlsif.envs import atari
from rlsif.envs.code import add_code_folder
from rlsif.envs.find import locate, make
from rlsif.envs.reference import parse


def compared(game):
    """Play a game by the same actions: greatest difference of a pixel, steps that differ otherwise, lives lost."""
    # Neither draws anything, so that both see the same.
    ref = parse(game, {"repeat_action_probability": 0.0}, atari="deepmind")
    locate(ref)
    atari.PROTOCOLS["deepmind"] = atari.Protocol("", 0.0, 0, fire=True, lives=True)
    one, vector = make(ref), atari.vectorised(ref, ref.name, 1)
    found = {"pixels": 0, "others": 0, "lives": 0, "return": 0.0}
    (seen, _), (theirs, _) = one.reset(seed=1), vector.reset(seed=1)
    random, over = np.random.default_rng(0), False
    while not over:
        found["pixels"] = max(found["pixels"], int(np.abs(seen.astype(int) - theirs[0]).max()))
        action = int(random.integers(one.action_space.n))
        seen, reward, over, _, info = one.step(action)
        theirs, *rest, infos = vector.step(np.array([action]))
        lost = info[atari.LIFE_LOST]
        found["others"] += (reward, over, lost) != (rest[0][0], rest[1][0], infos[atari.LIFE_LOST][0])
        found["lives"] += lost
        found["return"] += reward
    return found


if __name__ == "__main__":
    add_code_folder(sys.argv[1])
    print(json.dumps({game: compared(game) for game in ("ALE/Breakout-v5", "ALE/MsPacman-v5")}))

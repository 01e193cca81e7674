"""Runs inside the image: what Minari wrote, read here beside what Minari itself reads.

Usage: same_minari.py DATA, the folder tests/data/minari. Prints a JSON object: by data set, the greatest difference,
the ends of the episodes, those that were cut off, and where they were recorded.
"""

import json
import sys
from pathlib import Path

import numpy as np

from rlsif.envs.find import find
from rlsif.envs.recorded import read, sizes_of
from rlsif.envs.reference import parse
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter

DATA = Path(sys.argv[1])
ENVS = {"cart-v0": "CartPole-v1", "pendulum-v0": "Pendulum-v1", "nested-v0": f"{DATA}/nested.py:Nested"}


def flat(values):
    """Nested values as [n, numbers], by names."""
    if isinstance(values, dict):
        return np.concatenate([flat(values[name]) for name in sorted(values)], axis=1)
    if isinstance(values, tuple):
        return np.concatenate([flat(value) for value in values], axis=1)
    return np.asarray(values, float).reshape(len(values), -1)


def compared(name, env):
    found = find(parse(env, {}, "."))
    there = read(DATA / name, found)
    theirs = json.loads((DATA / name / "episodes.json").read_text())
    adapter, encoder = ActionAdapter(found.actions), masks.encoder_of(found.observations)
    differences, begin = [], 0
    for end, told in zip(there.ends.tolist(), theirs, strict=True):
        mine = {column: values[begin:end] for column, values in there.columns.items()}
        differences += [
            flat(adapter.batch(mine["actions"])) - np.array(told["actions"]),
            mine["rewards"] - told["rewards"],
            mine["terminateds"] ^ np.array(told["terminations"]),
            mine["truncateds"] ^ np.array(told["truncations"]),
        ]
        if name != "nested-v0":
            seen = encoder.batch(np.array(told["observations"]), len(told["observations"]), {})
            differences += [mine["obs"] - seen[:-1], mine["new_obs"] - seen[1:]]
        else:
            differences.append(nested(mine["obs"], encoder) - np.array(told["observations"])[:-1])
            differences.append(nested(mine["new_obs"], encoder) - np.array(told["observations"])[1:])
        begin = end
    return {
        "difference": max(float(np.abs(np.asarray(each, float)).max()) for each in differences),
        "ends": there.ends.tolist(), "cut": there.cut.tolist(), "elsewhere": list(there.elsewhere),
        "beyond": there.beyond, "files": sorted(sizes_of(DATA / name)),
    }  # fmt: skip


def nested(encoded, encoder):
    """Of encoded observations of Nested: the integer, two numbers, and the image's mean."""
    integer = 1 + encoded[:, :3].argmax(axis=1)
    return np.column_stack([integer, encoded[:, 3:5], encoded[:, 5:].mean(axis=1)])


if __name__ == "__main__":
    print(json.dumps({name: compared(name, env) for name, env in ENVS.items()}))

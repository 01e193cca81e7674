"""Runs inside the image: an algorithm has lost an env runner whose node is gone, and one that is back.

Prints a JSON object: how often RLlib was left to look after the first in a hundred iterations, and how often it was
asked whether it is there; and how often RLlib looked once the other had answered.
"""

import json
import time

from rlsif.learning.rllib import import_rllib

import_rllib()

# ruff: noqa: E402
import ray
from ray.rllib.algorithms.algorithm import Algorithm

from rlsif import private_api
from rlsif.learning.fixes import Fixed


@ray.remote(num_cpus=0)
class Runner:
    def ping(self):
        return "pong"


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    # Ray waits for its node without an end, and so would who waits for its answer.
    gone, back = Runner.options(resources={"gone": 1}).remote(), Runner.remote()
    looked, lost = [], {1: gone}
    Algorithm.restore_env_runners = lambda self, group: looked.append(group) or []
    private_api.lost_env_runners = lambda group: lost
    algorithm = Fixed.__new__(Fixed)
    calls = set()
    for _ in range(100):
        algorithm.restore_env_runners("the group")
        calls |= {call for call, _ in algorithm._asked.values()}
    before = len(looked)
    lost[2] = back
    deadline = time.monotonic() + 60
    while len(looked) == before and time.monotonic() < deadline:
        algorithm.restore_env_runners("the group")
    print(json.dumps({"gone": before, "asked": len(calls), "back": len(looked) - before}))

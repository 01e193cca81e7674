"""The same environment of many agents as RLlib's users write theirs."""

from crowd import NAMES, Crowd
from heap import PLAYERS, Heap
from ray.rllib.env.multi_agent_env import MultiAgentEnv


class RLlibCrowd(MultiAgentEnv):
    """What ends for all is told by "__all__"."""

    def __init__(self, config=None):
        self.crowd = Crowd(**(config or {}))
        self.possible_agents, self.agents = list(NAMES), list(NAMES)
        self.observation_spaces = {name: self.crowd.observation_space(name) for name in NAMES}
        self.action_spaces = {name: self.crowd.action_space(name) for name in NAMES}
        super().__init__()

    def reset(self, *, seed=None, options=None):
        return self.crowd.reset(seed)

    def step(self, action_dict):
        seen, rewards, terminated, truncated, infos = self.crowd.step(action_dict)
        over = not self.crowd.agents
        cut = self.crowd.steps >= self.crowd.length
        return seen, rewards, {**terminated, "__all__": over and not cut}, {**truncated, "__all__": over and cut}, infos


class RLlibHeap(MultiAgentEnv):
    """A game in turns: who has an observation is to act."""

    def __init__(self, config=None):
        self.heap = Heap(**(config or {}))
        self.possible_agents, self.agents = list(PLAYERS), list(PLAYERS)
        self.observation_spaces = dict.fromkeys(PLAYERS, self.heap.seen["observation"])
        self.action_spaces = dict.fromkeys(PLAYERS, self.heap.moves)
        super().__init__()

    def reset(self, *, seed=None, options=None):
        self.heap.reset(seed)
        return self.acting(), {}

    def step(self, action_dict):
        [action] = action_dict.values()
        self.heap.step(min(int(action), self.heap.left - 1))
        over = all(self.heap.terminations.values())
        # Nobody sees the end, as RLlib's examples of such games have it.
        return {} if over else self.acting(), dict(self.heap.rewards), {"__all__": over}, {"__all__": False}, {}

    def acting(self):
        return {self.heap.agent_selection: self.heap.observe(None)["observation"]}

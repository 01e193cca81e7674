"""Many agents: what is sampled in slots, beside RLlib's own multi-agent sampler with the same weights.

Environments are deterministic, and logits so far apart that one action is drawn always: both samplers do the same.
"""

from pathlib import Path

import numpy as np
from gymnasium.spaces import Box
from ray.rllib.evaluation.rollout_worker import RolloutWorker

from rlsif.envs.find import find, make
from rlsif.envs.reference import parse
from rlsif.learning.assignment import of_run
from rlsif.learning.build import _register, configure
from rlsif.learning.spec import Layout, ManyPolicies, RunSpec
from rlsif.sampling.env_runner import Sampling

DATA = Path(__file__).parents[1] / "data"
COPIES, FRAGMENT = 2, 150
SETTINGS = {
    "PPO": {"train_batch_size": COPIES * FRAGMENT, "minibatch_size": 64},
    "DQN": {
        "n_step": 3, "hiddens": [16], "dueling": True,
        "exploration_config": {"initial_epsilon": 0.0, "final_epsilon": 0.0},
    },
}  # fmt: skip
COLUMNS = {
    "PPO": ("actions", "rewards", "advantages", "value_targets"),
    "DQN": ("actions", "rewards", "new_obs", "terminateds", "truncateds"),
}

# Policies of their own: for agents who leave early and have other spaces, who come late, and who take turns.
POLICIES = {
    env: ManyPolicies("a test", policies, train)
    for env, policies, train in (
        ("hunt.py:Hunt", {"hunter_0": "hunter", "hunter_1": "hunter", "prey": "prey"}, ("hunter",)),
        ("crowd.py:Crowd", {"anna": "some", "ben": "other", "cleo": "some"}, ("some", "other")),
        ("crowd_rllib.py:RLlibHeap", {"white": "white", "black": "black"}, ("white", "black")),
    )
}


def compare(note, found):
    """Note the greatest differences of rows, and of episodes and counts."""
    for env in ("crowd.py:Crowd", "crowd_rllib.py:RLlibCrowd", "crowd_rllib.py:RLlibHeap"):
        for algo in SETTINGS:
            _compare(algo, parse(f"{DATA / env}"), note, found)
    _compare("PPO", parse(f"{DATA}/crowd_rllib.py:RLlibHeap"), note, found, clip_rewards=True)
    for env, policies in POLICIES.items():
        for algo in SETTINGS if "hunt" not in env else ("PPO",):
            _compare(algo, parse(f"{DATA / env}"), note, found, policies)


def most(found, name, number):
    """Keep the greatest number."""
    found[name] = max(found.get(name, 0), number)


def samplers(algo, ref, policies, **settings):
    """Ours and RLlib's own, with the same weights."""
    env = find(ref, of_run(policies))
    spec = RunSpec(algo, "tf", ref, None, settings, policies)
    config = configure(spec, Layout(0, COPIES, 0.0, 1, local_mode=True, rllib_samples="a test"), env)
    _register(ref, config.rlsif)
    config.validate()
    theirs = _rllibs(config, ref)
    for name in env.views:
        _decide(theirs.policy_map[name])
    sampling = Sampling(config, 0)
    sampling.set_weights(theirs.get_weights())
    return sampling, theirs


def _compare(algo, ref, note, found, policies=None, **settings):
    given = {**SETTINGS[algo], "rollout_fragment_length": FRAGMENT, **settings}
    sampling, theirs = samplers(algo, ref, policies, **given)
    batch, mine = theirs.sample(), sampling.sample()
    assert (mine.env_steps(), mine.agent_steps()) == (batch.env_steps(), batch.agent_steps())
    most(found, "most agent steps for each env step", mine.agent_steps() / mine.env_steps())
    assert mine.policy_batches.keys() == batch.policy_batches.keys() == set(theirs.policy_map)
    for name in theirs.policy_map:
        my_rows, their_rows = (_in_order(b.policy_batches[name]) for b in (mine, batch))
        _compare_rows(algo, ref, note, found, my_rows, their_rows)
    if settings:
        # RLlib's returns are those of clipped rewards, ours the environment's.
        return
    _compare_episodes(note, sampling, theirs)


def _compare_rows(algo, ref, note, found, my_rows, their_rows):
    if algo == "DQN" and "Heap" in ref.short:
        # Nobody sees the end of that game; RLlib draws an observation, which does not count.
        for rows in (my_rows, their_rows):
            rows["new_obs"][rows["terminateds"].astype(bool)] = 0
    note("rows of agents", (my_rows["obs"], their_rows["obs"]))
    for column in COLUMNS[algo]:
        # Advantages are differences of values, and as exact as those are.
        size = max(1, np.abs(their_rows["value_targets"]).max()) if column == "advantages" else 1
        note(f"{algo} {column} of agents", (my_rows[column] / size, their_rows[column] / size))
    ended, cut = their_rows["terminateds"], their_rows["truncateds"]
    most(found, "agents that left", int(ended.sum()))
    most(found, "agents that were cut off", int((cut & ~ended).sum()))


def _compare_episodes(note, sampling, theirs):
    my_episodes = sorted((e.total_reward, e.length, sorted(e.agents.items())) for e in sampling.sampler.episodes())
    their_episodes = sorted(
        (e.episode_reward, e.episode_length, sorted((agent, r) for (agent, _), r in e.agent_rewards.items()))
        for e in theirs.get_metrics()
    )
    assert [e[1] for e in my_episodes] == [e[1] for e in their_episodes]
    note("returns of episodes of agents", ([e[0] for e in my_episodes], [e[0] for e in their_episodes]))
    for (*_, my_agents), (*_, their_agents) in zip(my_episodes, their_episodes, strict=True):
        assert [name for name, _ in my_agents] == [name for name, _ in their_agents]
        note("returns of agents", ([r for _, r in my_agents], [r for _, r in their_agents]))


def _rllibs(config, ref):
    """RLlib's own env runner: PettingZoo's environment by our adapter, RLlib's as it is."""
    from ray.tune.registry import _global_registry

    rllibs = "RLlib" in ref.short
    create = (lambda _: make(ref).env) if rllibs else _global_registry.get("env_creator", ref.ascii_name)
    policy_class = config.algo_class.get_default_policy_class(config)
    return RolloutWorker(env_creator=create, default_policy_class=policy_class, config=config, worker_index=1)


def _decide(policy):
    """Weights with which it draws one action always."""
    random = np.random.default_rng(1)
    # RLlib begins with outputs near zero.
    weights = {n: random.normal(scale=0.3, size=w.shape).astype(np.float32) for n, w in policy.get_weights().items()}
    far = {n: w * 3e6 if "fc_out" in n and "value" not in n else w for n, w in weights.items()}
    if isinstance(policy.action_space, Box):
        # A mean of two outputs, and a deviation of e to the -30.
        far = {n: _narrow(n, weights[n]) for n in weights}
    policy.set_weights(far)


def _narrow(name, weights):
    if "fc_out" not in name or "value" in name:
        return weights
    half = weights.shape[-1] // 2
    kept = weights.copy()
    kept[..., half:] = 0 if weights.ndim > 1 else -30
    return kept


def _in_order(batch):
    rows = {name: np.asarray(batch[name]) for name in batch if name not in ("infos",)}
    obs = rows["obs"]
    order = np.lexsort((rows.get("advantages", rows["rewards"]).round(3), rows["rewards"].round(3), *obs.T))
    return {
        name: column[order].astype(np.float64 if column.dtype.kind == "f" else column.dtype)
        for name, column in rows.items()
        if len(column) == len(obs)
    }

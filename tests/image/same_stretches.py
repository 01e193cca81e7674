"""Many agents: the stretches that APPO and IMPALA learn from, beside the rows of RLlib's own multi-agent sampler."""

from collections import Counter, defaultdict

import numpy as np

from rlsif.envs.reference import parse
from tests.image.same_agents import COPIES, DATA, FRAGMENT, POLICIES, most, samplers

# Rows that are learned from as one.
STRETCH = 10


def compare(note, found):
    """Note the greatest differences of values, and count rows that are missing or too many."""
    for algo in ("APPO", "IMPALA"):
        for env, policies in POLICIES.items():
            for assigned in (policies,) if "hunt" in env else (None, policies):
                _compare(algo, parse(f"{DATA / env}"), note, found, assigned)


def _compare(algo, ref, note, found, policies):
    sampling, theirs = samplers(algo, ref, policies, rollout_fragment_length=STRETCH)
    mine = [sampling.sample() for _ in range(FRAGMENT // STRETCH)]
    all_theirs = []
    while (more := _steps(all_theirs) - _steps(mine)) < 0:
        all_theirs.append(theirs.sample())
    for name, policy in theirs.policy_map.items():
        my_rows, their_rows = (_rows(batches, name) for batches in (mine, all_theirs))
        of_mine, of_theirs = (Counter(_names(rows)) for rows in (my_rows, their_rows))
        most(found, f"{algo} rows of agents that are not RLlib's", sum((of_mine - of_theirs).values()))
        # What is left over opens the next stretches: of each agent in each copy, and of those that left.
        agents = COPIES * (len(policies.of_agents) if policies else 3)
        assert len(my_rows["obs"]) % STRETCH == 0
        assert sum((of_theirs - of_mine).values()) < (agents + 1) * STRETCH + more * agents / COPIES
        _compare_values(algo, note, my_rows, their_rows)
        _compare_order(algo, note, my_rows, policy)


def _steps(batches):
    return sum(batch.env_steps() for batch in batches)


def _rows(batches, name):
    """The rows of a policy, one batch after the other."""
    parts = [batch.policy_batches[name] for batch in batches if name in batch.policy_batches]
    columns = ("obs", "actions", "rewards", "terminateds", "truncateds", "values_bootstrapped")
    return {column: np.concatenate([np.asarray(part[column]) for part in parts]) for column in columns}


def _names(rows):
    """What tells a row from others, without the digits in which two networks differ."""
    given = (rows["obs"], rows["actions"], rows["rewards"], rows["terminateds"], rows["truncateds"])
    return [tuple(np.concatenate([np.ravel(part) for part in row]).round(2).tolist()) for row in zip(*given)]


def _compare_values(algo, note, my_rows, their_rows):
    """Of rows that are the same, the value of what came next."""
    values = defaultdict(list)
    for row, value in zip(_names(their_rows), their_rows["values_bootstrapped"]):
        values[row].append(value)
    for row, value in zip(_names(my_rows), my_rows["values_bootstrapped"]):
        if row in values:
            note(f"{algo} values of agents", (value, min(values[row], key=lambda other: abs(other - value))))


def _compare_order(algo, note, rows, policy):
    """Within a stretch an agent's next row follows, or after an end another's."""
    values = policy.compute_actions(rows["obs"])[2]["vf_preds"]
    inside = ~(rows["terminateds"] | rows["truncateds"])[:-1] & (np.arange(1, len(values)) % STRETCH > 0)
    note(f"{algo} order of agents", (rows["values_bootstrapped"][:-1][inside], values[1:][inside]))

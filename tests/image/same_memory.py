"""Rows, sequences and states of a policy with an LSTM, beside what RLlib's own collector makes of the same steps.

And what is learned from them.
"""

import numpy as np
from ray.rllib.evaluation.collectors.agent_collector import AgentCollector
from ray.rllib.policy.sample_batch import SampleBatch, concat_samples

from rlsif import private_api
from rlsif.learning import fixes
from rlsif.sampling.env_runner import Sampling

LONGEST = 8
MODEL = {"use_lstm": True, "lstm_cell_size": 8, "max_seq_len": LONGEST, "fcnet_hiddens": [6, 5]}
COLUMNS = (
    "obs", "actions", "rewards", "action_dist_inputs", "action_logp", "advantages", "value_targets",
    "seq_lens", "state_in_0", "state_in_1",
)  # fmt: skip


# Environments with what else may be set.
CASES = {
    "CartPole-v1": ({}, {}),
    "Walk-v0": ({"vf_share_layers": True, "fcnet_activation": "relu"}, {}),
    "Both-v0": ({"fcnet_activation": "gelu"}, {"observation_filter": "MeanStdFilter"}),
}
MINIBATCH = 40


def compare(policy_of, note, found):
    for env_id, (model, others) in CASES.items():
        settings = {
            "rollout_fragment_length": 30, "train_batch_size": 120, "minibatch_size": MINIBATCH, "lr": 3e-3,
            "model": {**MODEL, **model}, **others,
        }  # fmt: skip
        (policy, config, _), (learns_from_mine, _, _) = (policy_of("PPO", env_id, **settings) for _ in range(2))
        sampler = Sampling(config, 0).sampler
        theirs = Theirs(policy, len(sampler._environments.active))
        watch(sampler)
        # States continue from one batch to the next, and weights are others then.
        for scale in (1.1, 0.9):
            for each in (policy, learns_from_mine):
                each.set_weights({name: scale * value for name, value in each.get_weights().items()})
            sampler.set_weights(policy.get_weights())
            sampler.after = []
            mine = sampler.sample()
            expected = theirs.batch(sampler, note)
            for name in COLUMNS:
                assert mine[name].shape == expected[name].shape, (env_id, name)
                note(f"{name} of a memory", (mine[name], expected[name]))
        found["shortest sequence"] = min(found.get("shortest sequence", LONGEST), int(mine["seq_lens"].min()))
        found["longest sequence"] = max(found.get("longest sequence", 0), int(mine["seq_lens"].max()))
        found["sequences in the middle of an episode"] = int(np.abs(mine["state_in_0"]).any(axis=1).sum())
        ended = sampler._rows["truncateds"] & sampler._rows["valid"]
        found[f"{env_id} truncated with a memory"] = int(ended.sum())
        learn(learns_from_mine, SampleBatch(mine), policy, expected, note, found)


def learn(mine, rows, theirs, expected, note, found):
    """Minibatches as RLlib's PPO learns from them; it cuts sequences where one ends, and pads them."""
    before, told = mine.get_weights(), []
    for policy, batch in ((mine, rows), (theirs, expected)):
        private_api.fill_columns(policy, fixes._fill)
        policy.load_batch_into_buffer(batch)
        offsets = (MINIBATCH, 0, 2 * MINIBATCH)
        told.append([policy.learn_on_loaded_batch(offset)["learner_stats"] for offset in offsets])
    for name in ("total_loss", "policy_loss", "vf_loss", "kl", "entropy"):
        note(f"{name} of a memory", *((one[name], other[name]) for one, other in zip(*told, strict=True)))
    after, moved = mine.get_weights(), theirs.get_weights()
    note("weights of a memory", *((after[name], moved[name]) for name in after))
    most = max(float(np.abs(after[name] - before[name]).max()) for name in after)
    found["weights of a memory moved"] = min(found.get("weights of a memory moved", 1.0), most)


def watch(sampler):
    """Keep what every step was followed by."""
    take = sampler.take

    def watched(step):
        after = take(step)
        sampler.after.append(np.array(after))
        return after

    sampler.take = watched


class Theirs:
    """RLlib's collector for each environment, and its policy's own states."""

    def __init__(self, policy, environments):
        self.policy, self.collectors = policy, [None] * environments
        begun = policy.get_initial_state()
        self.states = [np.repeat(np.asarray(part)[None], environments, axis=0) for part in begun]

    def batch(self, sampler, note):
        """What RLlib's sampler makes of the steps that a sampler just took."""
        rows, parts = sampler._rows, [[] for _ in self.collectors]
        for step in range(rows.steps):
            valid = rows["valid"][step]
            for number in np.flatnonzero(valid):
                if self.collectors[number] is None:
                    self.collectors[number] = self._begin(number, rows["obs"][step, number])
            _, after, told = self.policy.compute_actions(rows["obs"][step], self.states)
            note("logits of a memory", (rows["action_dist_inputs"][step][valid], told["action_dist_inputs"][valid]))
            note("values of a memory", (rows["values"][step][valid], told["vf_preds"][valid]))
            for number in np.flatnonzero(valid):
                self._add(rows, step, number, [part[number] for part in after], told, sampler.after[step][number])
                if rows["terminateds"][step, number] or rows["truncateds"][step, number]:
                    parts[number].append(self._built(number))
                    self.collectors[number] = None
        for number, collector in enumerate(self.collectors):
            if collector is not None and collector.agent_steps:
                parts[number].append(self._built(number))
        return concat_samples([part for of_env in parts for part in of_env])

    def _begin(self, number, seen):
        for part, begun in zip(self.states, self.policy.get_initial_state(), strict=True):
            part[number] = begun
        collector = AgentCollector(
            self.policy.view_requirements, max_seq_len=LONGEST, disable_action_flattening=False,
            intial_states=self.policy.get_initial_state(), is_policy_recurrent=True,
        )  # fmt: skip
        collector.add_init_obs(number, 0, number, seen)
        return collector

    def _add(self, rows, step, number, state, told, after):
        names = ("actions", "rewards", "terminateds", "truncateds", "action_logp")
        self.collectors[number].add_action_reward_next_obs(
            {
                **{name: rows[name][step, number] for name in names},
                "action_dist_inputs": told["action_dist_inputs"][number], "vf_preds": told["vf_preds"][number],
                "new_obs": after, "infos": {}, "state_out_0": state[0], "state_out_1": state[1],
            }
        )  # fmt: skip
        for part, value in zip(self.states, state, strict=True):
            part[number] = value

    def _built(self, number):
        return self.policy.postprocess_trajectory(
            self.collectors[number].build_for_training(self.policy.view_requirements)
        )

"""Compares masked networks with RLlib's model around its own networks, from the same weights; for same_sampler.py."""

import numpy as np

from rlsif.learning import masked_models
from rlsif.policies import masks
from rlsif.policies.networks import ILLEGAL_VALUE, ActorCritic, QNetwork
from rlsif.sampling.env_runner import Sampling


def compare(policy_of, note, found):
    """Fill `found` by `note`; `policy_of` makes a policy of RLlib's."""
    masked_models.register()
    observations = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)
    observations[:, -6:] = np.random.default_rng(1).random((50, 6)) < 0.4
    observations[0, -6:] = 0
    legal = masks.legal(observations, 6)
    for share in (True, False):
        model = {"fcnet_hiddens": [16, 8], "vf_share_layers": share}
        policy, config, _ = policy_of("PPO", "Masked-v0", model=model)
        _, _, theirs = policy.compute_actions(observations)
        mine = masks.MaskedActorCritic(ActorCritic.from_config(masks.inner_model(config.model), (4,)), 6)
        mine.set_weights(policy.get_weights())
        logits, values = mine.forward(observations)
        note("masked logits and values", (logits, theirs["action_dist_inputs"]), (values, theirs["vf_preds"]))
        drawn = [policy.compute_actions(observations)[0] for _ in range(20)]
        found["illegal actions of RLlib's"] = sum(int((~legal[np.arange(50), each]).sum()) for each in drawn)
    for hiddens, dueling in (([16], True), ([16], False), ([], True), ([], False)):
        policy, config, _ = policy_of("DQN", "Masked-v0", hiddens=hiddens, dueling=dueling)
        actions, _, theirs = policy.compute_actions(observations)
        mine = masks.MaskedQNetwork(QNetwork.from_config(config.model, (4,), hiddens, dueling), 6)
        mine.set_weights(policy.get_weights())
        values = mine.forward(observations)
        note("masked q-values", (values[legal], theirs["q_values"][legal]))
        assert (theirs["q_values"][~legal] == ILLEGAL_VALUE).all() and (values[~legal] == ILLEGAL_VALUE).all()
        found["illegal actions of RLlib's"] += int((~legal[np.arange(50), actions]).sum())
        note("masked targets", _targets(policy, mine, observations[:-1], actions[:-1], observations[1:]))
    _update(policy_of, note)


def _targets(policy, mine, observations, actions, following):
    """Errors of DQN's loss: theirs, and those of a maximum over the legal actions of what follows."""
    policy.update_target()
    rewards, zeros, ones = (np.full(len(actions), value, np.float32) for value in (0.5, 0, 1))
    theirs = policy.compute_td_error(observations, actions, rewards, following, zeros, ones)
    chosen = mine.forward(observations)[np.arange(len(actions)), actions]
    return theirs, chosen - (rewards + policy.config["gamma"] * mine.forward(following).max(axis=1))


def _update(policy_of, note):
    """The compiled update, beside RLlib's own; losses are numbers where logits are ILLEGAL_LOGIT."""
    from ray.rllib.policy.sample_batch import SampleBatch

    from rlsif.learning.compiled_update import CompiledUpdate

    (mine, config, _), (theirs, _, _) = [
        policy_of("PPO", "Masked-v0", train_batch_size=256, grad_clip=0.5, entropy_coeff=0.01) for _ in range(2)
    ]
    sampler = Sampling(config, 0).sampler
    sampler.set_weights(mine.get_weights())
    batch = SampleBatch(sampler.sample())
    CompiledUpdate(mine)(batch, epochs=5, minibatch_size=len(batch))
    for name, placeholder in theirs._loss_input_dict_no_rnn.items():
        if name not in batch:
            batch[name] = np.zeros([len(batch), *placeholder.shape.as_list()[1:]], placeholder.dtype.as_numpy_dtype)
    told = [theirs.learn_on_batch(SampleBatch(batch))["learner_stats"] for _ in range(5)]
    assert all(np.isfinite(each["total_loss"]) and np.isfinite(each["entropy"]) for each in told)
    note("weights after masked updates", *zip(mine.get_weights().values(), theirs.get_weights().values(), strict=True))

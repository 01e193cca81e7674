"""Action masks from end to end. The environment raises for an illegal action: a run that ends well sent none."""

import json
from pathlib import Path

LAMPS = ("--env", f"{Path(__file__).parents[1] / 'data/lamps.py'}:Lamps")


def test_an_agent_learns_among_legal_actions_is_resumed_and_evaluated(shell):
    """Of random legal actions the return is 2.3."""
    evaluated = ("--evaluate-every", "4", "--evaluate-episodes", "10")
    met = shell.train(*LAMPS, "--env-config", "told=info", "--stop-reward", "4.5", "--local-mode", *evaluated)
    assert met.returncode == 0, met.stderr
    assert "sampled in NumPy, illegal actions masked" in met.stdout
    [run] = shell.runs
    assert "over 10 episodes of evaluation reached 4.5" in met.stdout
    more = shell.train("--resume", run, "--stop-iters", "6", "--local-mode")
    assert more.returncode == 0, more.stderr
    greedy = shell("evaluate", run, "--json")
    drawn = shell("evaluate", run, "--json", "--stochastic", "--last")
    assert json.loads(greedy.stdout)["return_mean"] > 4.5, greedy.stderr
    assert json.loads(drawn.stdout)["return_mean"] > 3.5, drawn.stderr


def test_rllibs_own_sampler_sends_no_illegal_action(shell):
    small = ("--local-mode", "--stop-iters", "1", "--set", "train_batch_size=300", "--set", "minibatch_size=100")
    met = shell.train(*LAMPS, "--env-config", "told=several", "--set", "model.use_lstm=true", *small)
    assert met.returncode == 0, met.stderr
    assert "sampled by RLlib" in met.stdout and "illegal actions masked" in met.stdout
    refused = shell.train(*LAMPS, "--set", "model.use_lstm=true", "--set", "observation_filter=MeanStdFilter", *small)
    assert refused.returncode == 2
    assert "observation_filter is MeanStdFilter, with which PPO would not honour the action mask" in refused.stderr


def test_dqn_explores_among_legal_actions(shell):
    few = ("num_steps_sampled_before_learning_starts=200", "min_sample_timesteps_per_iteration=100")
    settings = [word for each in few for word in ("--set", each)]
    met = shell.train(*LAMPS, "--algo", "DQN", "--local-mode", "--stop-timesteps", "500", *settings)
    assert met.returncode == 0, met.stderr
    [run] = shell.runs
    evaluated = shell("evaluate", run, "--stochastic", "--episodes", "20")
    assert evaluated.returncode == 0, evaluated.stderr


def test_a_mask_that_goes_wrong_ends_the_run_in_one_sentence(shell):
    met = shell.train(*LAMPS, "--env-config", "wrong=none", "--local-mode", "--stop-iters", "2")
    assert met.returncode == 1
    assert met.stderr.count("\n") == 1 and "'action_mask' has no legal action; one at least must be 1" in met.stderr
    refused = shell.train(*LAMPS, "--algo", "SAC")
    assert refused.returncode == 2
    assert "Lamps says which actions are legal, and SAC does not honour action masks; use --algo PPO" in refused.stderr

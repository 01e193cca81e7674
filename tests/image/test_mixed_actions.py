"""Actions of choices and numbers from end to end. The environment looks at each that it is given."""

from pathlib import Path

AIM = ("--env", f"{Path(__file__).parents[1] / 'data/aim.py'}:Aim", "--local-mode", "--set", "minibatch_size=100")


def test_choices_and_numbers_are_drawn_learned_from_and_evaluated(shell):
    met = shell.train(*AIM, "--stop-iters", "2", "--set", "train_batch_size=1000")
    assert met.returncode == 0, met.stderr
    assert "sampled in NumPy" in met.stdout
    [run] = shell.runs
    for how in ((), ("--stochastic",)):
        evaluated = shell("evaluate", run, "--episodes", "5", *how)
        assert evaluated.returncode == 0, evaluated.stderr
    small = ("--set", "train_batch_size=200", "--set", "batch_mode=complete_episodes")
    theirs = shell.train(*AIM, "--stop-iters", "1", *small)
    assert theirs.returncode == 0, theirs.stderr
    assert "sampled by RLlib" in theirs.stdout


def test_what_cannot_act_so_is_told(shell):
    met = shell.train(*AIM, "--algo", "SAC")
    assert met.returncode == 2
    assert "its actions are Dict, not Discrete or Box; use --algo PPO or APPO or IMPALA" in met.stderr
    met = shell.train(*AIM, "--set", "model.free_log_std=true")
    assert met.returncode == 2 and "model.free_log_std is true, and Aim mixes choices and numbers" in met.stderr

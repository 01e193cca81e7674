"""Numbers that are none: what an update may not tell, and what no checkpoint is the best by."""

import math

import numpy as np
import pytest

from rlsif.learning.finite import SpoiltWeights, check_finite, check_weights
from rlsif.training import checkpoints
from rlsif.training.checkpoints import Progress

STATS = "info/learner/default_policy/learner_stats"


@pytest.mark.fault(
    "a loss is nan or infinite after an update",
    promise="the run ends before it writes a checkpoint, and names the statistic",
)
@pytest.mark.parametrize("name", ["total_loss", "vf_loss", "policy_loss", "mean_td_error", "mean_q", "critic_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_update_that_spoils_the_weights_is_refused(name, value):
    with pytest.raises(SpoiltWeights, match=f"{STATS}/{name} is {value} after an update, and so are the weights"):
        check_finite({f"{STATS}/cur_lr": 0.1, f"{STATS}/{name}": value})


def test_weights_that_are_no_numbers_are_named():
    check_weights({"fc_1/kernel": np.ones((2, 3), np.float32), "fc_1/bias": np.zeros(3)})
    with pytest.raises(SpoiltWeights, match="the weights fc_1/kernel are no finite numbers after an update; a smaller"):
        check_weights({"fc_1/kernel": np.array([[0.5, math.nan]]), "fc_1/bias": np.zeros(2)})


def test_what_is_no_number_where_nothing_was_learned_spoils_nothing():
    # RLlib tells nan of what it has not measured.
    check_finite({f"{STATS}/kl": math.nan, "timers/sample_throughput": math.inf, f"{STATS}/total_loss": -3.5})


@pytest.mark.fault(
    "the mean return of a checkpoint, or of its evaluation, is no number", promise="it is never the best one"
)
@pytest.mark.parametrize("evaluated", [False, True])
def test_a_mean_that_is_no_number_is_not_the_best(tmp_path, evaluated):
    for iteration, mean in enumerate((5.0, math.nan, math.inf, 4.0, -math.inf), start=1):
        returns, evaluation = ([1.0], mean) if evaluated else ([mean], None)
        progress = Progress("PPO", "E-v0", "tf", iteration, iteration, 1.0, returns, [1], evaluation)
        checkpoints.write(tmp_path, progress, lambda folder: None)
    assert checkpoints.best(tmp_path).name == "checkpoint_000001"
    checkpoints.keep(tmp_path, newest=1)
    assert [path.name for path in checkpoints.complete(tmp_path)] == ["checkpoint_000001", "checkpoint_000005"]

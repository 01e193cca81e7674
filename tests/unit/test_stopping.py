"""When a run ends."""

import pytest

from rlsif.errors import InputError
from rlsif.training.checkpoints import Progress
from rlsif.training.stopping import Stop


def row(**changes):
    values = {
        "training_iteration": 3,
        "num_env_steps_sampled_lifetime": 6000,
        "time_total_s": 5.0,
        "env_runners/episode_return_mean": 480.0,
        "episodes_in_mean": 100,
    }
    return {**values, **changes}


def test_stops_at_the_mean_return_of_100_episodes():
    assert "480.0" in Stop(reward=475).reached(row())


def test_sums_of_numbers_that_are_no_sums_of_halves_are_reached():
    many = Progress("PPO", "E", "tf", 1, 100, 1.0, returns=[0.8] * 100, lengths=[1] * 100)
    assert Stop(reward=0.8).reached(row(**{"env_runners/episode_return_mean": many.episode_return_mean}))
    ten = sum([0.1] * 10)
    assert ten < 1 and Stop(reward=1).reached(row(**{"env_runners/episode_return_mean": ten}))
    assert Stop(reward=1).reached(row(**{"env_runners/episode_return_mean": 0.99999})) is None


def test_does_not_trust_a_mean_of_few_episodes():
    assert Stop(reward=475).reached(row(episodes_in_mean=99)) is None


@pytest.mark.parametrize(
    "stop, said",
    [(Stop(timesteps=6000), "6,000 env steps"), (Stop(iters=3), "3 iterations"), (Stop(time_s=5), "5 s")],
)
def test_stops_at_the_first_end(stop, said):
    assert stop.reached(row()) == said


def test_an_evaluation_counts_in_place_of_the_training():
    stop = Stop(reward=475, by_evaluation=True)
    assert stop.reached(row(episodes_in_mean=100)) is None
    evaluated = {"evaluation/episode_return_mean": 476.0, "evaluation/episodes": 5}
    assert stop.reached(row(**evaluated)) == "mean return 476.0 over 5 episodes of evaluation reached 475"
    assert stop.reached(row(**{**evaluated, "evaluation/episode_return_mean": 474.0})) is None


def test_an_evaluation_alone_is_no_end():
    assert Stop(by_evaluation=True).or_default(475.0) == Stop(475.0, 1_000_000, by_evaluation=True)


def test_continues_before_every_end():
    assert Stop(reward=490, timesteps=6001, iters=4, time_s=5.1).reached(row()) is None


def test_without_an_end_takes_the_environments_and_a_million_steps():
    assert Stop().or_default(475.0) == Stop(reward=475.0, timesteps=1_000_000)
    assert Stop().or_default(None) == Stop(timesteps=1_000_000)


def test_a_given_end_stands_alone():
    assert Stop(iters=5).or_default(475.0) == Stop(iters=5)


@pytest.mark.parametrize("bad", [{"iters": 0}, {"timesteps": -5}, {"time_s": float("inf")}, {"reward": float("nan")}])
def test_refuses_an_end_that_is_none(bad):
    with pytest.raises(InputError, match="--stop-"):
        Stop(**bad)


def test_refuses_to_continue_past_the_end():
    with pytest.raises(InputError, match="already at its end: 3 iterations"):
        Stop(iters=3).check_not_reached(row())


def test_progress_is_that_of_the_nearest_end():
    assert Stop(iters=30, timesteps=8000).progress(row()) == 0.75


def test_an_iteration_under_way_is_given_up_when_the_time_is_over():
    assert not Stop(iters=3).overdue(1e9)
    assert not Stop(time_s=8).overdue(8.4)
    assert Stop(time_s=8).overdue(8.6)


@pytest.mark.parametrize(
    ("stop", "seconds", "last", "cut"),
    [
        (Stop(iters=3), 100.0, 100.0, False),
        (Stop(time_s=60), 10.0, 1.0, False),
        (Stop(time_s=60), 58.0, 1.0, True),
    ],
)
def test_a_checkpoint_comes_before_an_iteration_that_may_be_given_up(stop, seconds, last, cut):
    assert stop.may_cut(seconds, last) is cut

"""Slow env runners are waited for, and those that stand still are named."""

import pytest

from rlsif.cluster.heartbeat import Heartbeat
from rlsif.training.progress import StandsStill, Watch


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch():
    clock = Clock()
    watch = Watch(wanted=4000, patience=300, clock=clock)
    watch.begin()
    watch.pass_ = lambda seconds: setattr(clock, "now", clock.now + seconds)
    return watch


def beat(runner=1, number=1, steps=0, resets=1, doing="stepping its environments"):
    return Heartbeat(runner, f"node{runner}", f"id{runner}", number, steps, resets, doing)


@pytest.mark.fault(
    "one step of an environment takes four minutes",
    promise="a batch waits for every env runner that makes progress; no rows are dropped",
)
def test_a_runner_that_makes_a_step_in_four_minutes_is_waited_for_all_day(watch):
    for number in range(1, 400):
        watch.pass_(240)
        watch.look([beat(number=number, steps=number)])
    assert watch.done == 399


def test_a_reset_is_progress_too(watch):
    for number in range(1, 10):
        watch.pass_(200)
        watch.look([beat(number=number, resets=number, doing="resetting an environment")])


@pytest.mark.fault(
    "an env runner is alive and makes no step",
    promise="the run ends, and names the env runner, its node and what it was doing",
)
def test_one_that_beats_and_does_nothing_is_named_with_its_node_and_what_it_did(watch):
    watch.look([beat(runner=3, steps=7)])
    with pytest.raises(StandsStill, match="env runner 3 on node3 has made no step for 30[0-9] s .it was stepping its"):
        for number in range(2, 200):
            watch.pass_(2)
            watch.look([beat(runner=3, number=number, steps=7)])


def test_one_stands_still_while_another_moves(watch):
    with pytest.raises(StandsStill, match="env runner 2 on node2"):
        for number in range(1, 200):
            watch.pass_(2)
            watch.look([beat(1, number, steps=number), beat(2, number, steps=5)])


@pytest.mark.fault(
    "one of several env runners died",
    promise="training continues with the others while Ray starts it again",
)
def test_one_that_has_died_is_left_to_ray_while_another_moves(watch):
    watch.look([beat(1, 1), beat(2, 1, steps=5)])
    for number in range(2, 400):
        watch.pass_(2)
        watch.look([beat(1, number, steps=number), beat(2, 1, steps=5)])


def test_one_that_died_in_a_step_is_no_reason_to_end_while_the_others_wait_for_the_learner(watch):
    watch.look([beat(1, 1), beat(2, 1, steps=5)])
    for number in range(2, 260):
        watch.pass_(2)
        doing = "stepping its environments" if number < 140 else "waiting"
        watch.look([beat(1, number, steps=min(number, 140), doing=doing), beat(2, 1, steps=5)])


@pytest.mark.fault(
    "the node of an env runner is gone",
    promise="its env runners are forgotten, and no iteration waits for them",
)
def test_one_whose_node_is_gone_is_forgotten(watch):
    watch.look([beat(1, 1), beat(2, 1, steps=5)])
    for number in range(2, 400):
        watch.pass_(2)
        watch.look([beat(1, number, doing="waiting")])


def test_runners_that_wait_for_a_learner_are_not_blamed_for_it(watch):
    for number in range(1, 400):
        watch.pass_(2)
        watch.look([beat(number=number, doing="waiting")])


def test_one_that_was_started_again_counts_anew(watch):
    watch.look([beat(number=90, steps=900)])
    watch.pass_(250)
    watch.look([beat(number=1, steps=0)])
    watch.pass_(250)
    watch.look([beat(number=100, steps=0)])
    assert watch.done == 0


@pytest.mark.fault(
    "a batch will take longer than a minute",
    promise="the first lines say so, with the two settings that change it",
)
def test_a_batch_of_more_than_a_minute_says_what_to_change(watch):
    watch.look([beat(steps=0)])
    watch.pass_(20)
    watch.look([beat(number=2, steps=400)])
    assert watch.advice().startswith("at 20.0 env steps/s a batch of 4,000 takes 3.3 minutes; --set train_batch_size")
    assert watch.told() == "400 of 4,000 env steps of this batch in 20 s"


def test_a_fast_batch_is_told_nothing(watch):
    watch.look([beat(steps=0)])
    watch.pass_(20)
    watch.look([beat(number=2, steps=3900)])
    assert watch.advice() is None
    watch.begin()
    assert watch.told() is None

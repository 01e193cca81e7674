"""Slow env runners are waited for, and those that stand still are named."""

import pytest

from rlsif.cluster.heartbeat import Heartbeat
from rlsif.training.progress import KeepsEnding, StandsStill, Watch


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


def beat(runner=1, number=1, steps=0, resets=1, doing="stepping its environments", pid=100, node=None):
    return Heartbeat(runner, f"node{runner}", node or f"id{runner}", number, steps, resets, doing, pid)


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


@pytest.mark.fault(
    "one of several env runners of APPO or IMPALA stands still, and iterations end without it",
    promise="it is named after --env-timeout, as with other algorithms",
)
def test_one_that_stands_still_over_many_iterations_is_named(watch):
    with pytest.raises(StandsStill, match="env runner 2 on node2 has made no step for"):
        for number in range(1, 400):
            watch.begin()
            watch.pass_(2)
            watch.look([beat(number=number, steps=number), beat(2, number=number, steps=50)])
    assert 140 < number < 160


def test_one_that_has_gone_has_not_moved_in_iterations_without_a_look(watch):
    watch.look([beat(steps=50)])
    for _ in range(20):
        watch.pass_(0.5)
        watch.begin()
        assert not watch.moved
    with pytest.raises(StandsStill):
        for number in range(1000):
            watch.pass_(0.5)
            watch.begin()
            if number % 4 == 0:
                watch.look([beat(steps=50, number=number)])
    assert 560 < number < 640


def test_the_time_between_iterations_is_nobodys(watch):
    """As that of a large checkpoint."""
    for number in range(1, 5):
        watch.begin()
        watch.look([beat(number=number)])
        watch.pass_(2)
        watch.look([beat(number=number, steps=number // 4)])
        watch.pass_(290)


def test_one_that_was_started_again_counts_anew(watch):
    watch.look([beat(number=90, steps=900)])
    watch.pass_(250)
    watch.look([beat(number=1, steps=0, pid=101)])
    watch.pass_(250)
    watch.look([beat(number=100, steps=0, pid=101)])
    assert watch.done == 0


@pytest.mark.fault(
    "the process of an env runner ends again and again, without an exception",
    promise="after the third time the run ends, and names the env runner, its node and what it did",
)
def test_one_whose_process_does_not_last_is_named_after_the_third_time(watch):
    for pid in (100, 101, 102):
        watch.look([beat(steps=7, pid=pid), beat(2, pid=50)])
        watch.pass_(2)
    with pytest.raises(KeepsEnding, match="env runner 1 on node1 ended 3 times .* after 7 env steps; .* os._exit"):
        watch.look([beat(steps=7, pid=103), beat(2, pid=50)])


def test_an_end_is_forgotten_where_a_process_has_lived_through_an_iteration(watch):
    for pid in range(100, 120):
        watch.look([beat(pid=pid), beat(2, pid=50)])
        watch.sampled()
        watch.look([beat(pid=pid, number=2), beat(2, number=2, pid=50)])
        watch.sampled()


def test_ends_are_counted_where_others_bring_rows(watch):
    with pytest.raises(KeepsEnding, match="env runner 1 on node1 ended 3 times"):
        for pid in range(100, 104):
            watch.look([beat(pid=pid), beat(2, pid=50)])
            watch.sampled()


def test_ends_are_counted_on_one_node(watch):
    for pid in range(200, 220):
        watch.look([beat(pid=pid, node=f"id{pid}")])


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

"""Two policies against each other: whose agent is whose, who wins, and how sure that is."""

from pathlib import Path

import pytest

from rlsif.envs.duel import Duel, Random, interval, results, returns
from rlsif.envs.episodes import Episode, play
from rlsif.envs.find import find, make
from rlsif.envs.reference import parse

HEAP = f"{Path(__file__).parents[1] / 'data/heap.py'}:Heap"


class Best:
    """Leaves a multiple of four wherever it can, which wins."""

    def act(self, seen, slots, deterministic):
        heaps = [int(observation["observation"][0]) for observation, _ in seen]
        return [max(0, heap % 4 - 1) for heap in heaps]

    def rewarded(self, slot, reward):
        pass

    def forget(self, slot):
        pass


def test_who_plays_best_beats_chance_from_both_places():
    env = find(parse(HEAP))
    environments = [make(parse(HEAP)) for _ in range(3)]
    episodes = play(Duel(Best(), Random(env, 0), 2), environments, 40, 0, True)
    told = results(episodes, env.agents)
    assert told["wins"] > 30 and told["losses"] == 40 - told["wins"] and told["draws"] == 0
    # It was white in the first episode, black in the second.
    won = [e.agents[env.agents[n % 2]] > e.agents[env.agents[1 - n % 2]] for n, e in enumerate(episodes)]
    assert sum(won[::2]) > 10 and sum(won[1::2]) > 10
    low, high = told["win_rate_interval"]
    assert 0.6 < low < told["win_rate"] <= high <= 1


def test_two_who_play_alike_win_as_often():
    env = find(parse(HEAP))
    episodes = play(Duel(Best(), Best(), 2), [make(parse(HEAP))], 40, 0, True)
    assert 0 < results(episodes, env.agents)["wins"] < 40


def test_a_draw_is_half_a_win():
    episodes = [Episode(0, agents={"a": 1.0, "b": 1.0}), Episode(1, agents={"a": 0.0, "b": 2.0})]
    told = results(episodes, ("a", "b"))
    assert (told["wins"], told["draws"], told["losses"], told["win_rate"]) == (1, 1, 0, 0.75)
    assert told["return_mean"] == 1.5


def test_agents_of_its_own_win_by_their_best_and_get_what_they_got_together():
    episodes = [
        Episode(0, agents={"a": 1.0, "b": 3.0, "c": 2.0}),
        Episode(1, agents={"a": 1.0, "c": 2.0}),
        Episode(2, agents={"b": 0.5, "c": 0.5}),
    ]
    told = results(episodes, ("a", "b", "c"), ("a", "b"))
    assert (told["wins"], told["draws"], told["losses"]) == (1, 1, 1)
    assert returns(episodes, ("a", "b", "c"), ("a", "b")) == [4.0, 1.0, 0.5]
    assert told["return_mean"] == pytest.approx(5.5 / 3)


def test_episodes_count_in_which_both_took_part():
    # Its agent is a, then b, then a again.
    episodes = [
        Episode(0, agents={"b": -10.0, "c": -10.0}),
        Episode(1, agents={"b": -10.0, "c": -10.0}),
        Episode(2, agents={"c": -10.0, "a": -12.0}),
        Episode(3, agents={"a": -5.0}),
    ]
    told = results(episodes, ("a", "b"))
    assert (told["wins"], told["draws"], told["losses"], told["win_rate"]) == (0, 1, 1, 0.25)
    assert returns(episodes, ("a", "b")) == [-10.0, -12.0] and told["return_mean"] == -11
    none = results(episodes[:1], ("a", "b"))
    assert none["win_rate"] is none["win_rate_interval"] is none["return_mean"] is None
    assert (none["wins"], none["draws"], none["losses"]) == (0, 0, 0)


def test_wilsons_interval():
    assert interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert interval(1.0, 20) == pytest.approx((0.8389, 1.0), abs=1e-4)
    assert interval(0.0, 20)[0] == 0.0

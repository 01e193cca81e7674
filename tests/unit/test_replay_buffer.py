"""The replay buffer of arrays beside a plain list of rows, and its priorities beside the formulas."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsif.errors import RlsifError
from rlsif.learning import saved_rows
from rlsif.learning.replay_buffer import ArrayReplayBuffer, Priorities
from rlsif.learning.saved_rows import SavedRows

ADDED = st.lists(st.integers(1, 30), min_size=1, max_size=8)
CAPACITY = st.integers(1, 40)


def rows(first, count):
    number = np.arange(first, first + count)
    return {"obs": np.repeat(number[:, None], 3, axis=1).astype(np.uint8), "rewards": number.astype(np.float32)}


def filled(capacity, added, priorities=None):
    """A buffer, and the numbers of the rows that it should have, from the oldest to the newest."""
    buffer, first = ArrayReplayBuffer(capacity, priorities), 0
    for count in added:
        buffer.add(rows(first, count))
        first += count
    return buffer, np.arange(first)[-capacity:]


def rewards_of(buffer):
    """The numbers of all rows, from the oldest to the newest."""
    return buffer.rows(buffer.first, buffer.end)["rewards"].tolist()


@settings(deadline=None)
@given(CAPACITY, ADDED)
def test_the_newest_rows_are_kept_whole_and_each_can_be_drawn(capacity, added):
    buffer, kept = filled(capacity, added)
    columns, places, weights = buffer.sample(40, 50, np.random.default_rng(0))
    assert len(buffer) == len(kept) and set(columns["rewards"].ravel()) == set(kept)
    assert columns["obs"].shape == (40, 50, 3) and columns["obs"].dtype == np.uint8
    assert (columns["obs"] == columns["rewards"].astype(np.uint8)[..., None]).all()
    assert (weights == 1).all() and places.max() < capacity
    assert rewards_of(buffer) == kept.tolist()


@settings(deadline=None)
@given(CAPACITY, ADDED, st.integers(0, 2**32 - 1))
def test_priorities_are_those_of_the_last_td_errors(capacity, added, seed):
    settings_ = Priorities(alpha=0.6, beta=0.4, eps=1e-6)
    buffer, kept = filled(capacity, added, settings_)
    random = np.random.default_rng(seed)
    # What each row's priority should be, by its number.
    expected = dict.fromkeys(kept.tolist(), 1.0)
    for _ in range(4):
        columns, places, weights = buffer.sample(3, 4, random)
        numbers = columns["rewards"].astype(int)
        scaled = {number: priority**0.6 for number, priority in expected.items()}
        least = min(scaled.values())
        assert weights == pytest.approx(np.vectorize(lambda n, s=scaled, low=least: (s[n] / low) ** -0.4)(numbers))
        errors = random.normal(size=places.shape)
        buffer.update_priorities(places, errors)
        for number, error in zip(numbers.ravel().tolist(), errors.ravel().tolist()):
            expected[number] = abs(error) + 1e-6
    assert buffer.priorities()["scaled"] == pytest.approx([expected[n] ** 0.6 for n in kept.tolist()])


def test_rows_are_drawn_as_often_as_their_priorities_say():
    buffer, _ = filled(5, [5], Priorities(alpha=1.0, beta=1.0, eps=0.0))
    buffer.update_priorities(np.arange(5), np.array([1.0, -2.0, 3.0, 4.0, 10.0]))
    _, places, weights = buffer.sample(200, 1000, np.random.default_rng(0))
    shares = np.bincount(places.ravel()) / places.size
    assert shares == pytest.approx(np.array([1, 2, 3, 4, 10]) / 20, abs=0.005)
    assert weights == pytest.approx(1 / np.array([1.0, 2.0, 3.0, 4.0, 10.0])[places])


def test_new_rows_have_the_priorities_that_come_with_them_or_the_highest():
    buffer = ArrayReplayBuffer(8, Priorities(alpha=1.0, eps=0.0))
    buffer.add({**rows(0, 2), "weights": np.array([1.0, 3.0], np.float32)})
    buffer.update_priorities(np.array([0]), np.array([7.0]))
    buffer.add(rows(2, 1))
    assert buffer.priorities()["scaled"].tolist() == [7.0, 3.0, 7.0]
    assert "weights" not in buffer.sample(1, 1, np.random.default_rng(0))[0]


@settings(deadline=None)
@given(CAPACITY, CAPACITY, ADDED, ADDED, st.booleans())
def test_a_saved_buffer_is_restored_as_far_as_there_is_room(capacity, capacity_after, added, later, prioritized):
    priorities = Priorities() if prioritized else None
    buffer, _ = filled(capacity, added, priorities)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_rows, "ROWS", 7)
        saved, first, second = SavedRows(buffer), Path(folder, "1"), Path(folder, "2")
        first.mkdir()
        saved.save(first)
        for count in later:
            buffer.add(rows(buffer.end, count))
        buffer.update_priorities(np.arange(len(buffer)), np.arange(len(buffer)) + 0.5)
        second.mkdir()
        saved.save(second)
        restored = ArrayReplayBuffer(capacity_after, priorities)
        SavedRows(restored).restore(second)
    fit = min(len(buffer), capacity_after)
    assert rewards_of(restored) == rewards_of(buffer)[-fit:] and restored.end == buffer.end
    if prioritized:
        assert restored.priorities()["scaled"].tolist() == buffer.priorities()["scaled"][-fit:].tolist()
    restored.add(rows(200, 1))
    assert rewards_of(restored)[-1] == 200


def test_rows_that_a_checkpoint_has_are_linked_and_outlive_it(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_rows, "ROWS", 4)
    buffer, _ = filled(10, [10])
    saved = SavedRows(buffer)
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        saved.save(folder)
        buffer.add(rows(buffer.end, 3))
    there = [sorted(p.name[5:-4] for p in (tmp_path / str(n) / "replay_buffer").glob("rows*")) for n in range(3)]
    assert there[1] == ["000000000000_000000000004", "000000000004_000000000008", "000000000008_000000000012",
                        "000000000012_000000000013"]  # fmt: skip
    # Of rows 4 to 7 two are gone in the last checkpoint, whose file has them all.
    linked = tmp_path / "2/replay_buffer/rows_000000000004_000000000008.npz"
    assert there[2][0] == "000000000004_000000000008" and linked.stat().st_nlink == 3
    # A file of the same name that is another's, as of a run that was given up, is not taken.
    (tmp_path / "a given up" / "replay_buffer").mkdir(parents=True)
    (tmp_path / "a given up/replay_buffer" / linked.name).write_bytes(b"other rows")
    (tmp_path / "3").mkdir()
    saved.save(tmp_path / "3")
    assert (tmp_path / "3/replay_buffer" / "rows_000000000008_000000000012.npz").stat().st_nlink == 3
    (tmp_path / "a given up/replay_buffer/rows_000000000012_000000000016.npz").write_bytes(b"other rows")
    (tmp_path / "4").mkdir()
    saved.save(tmp_path / "4")
    assert (tmp_path / "4/replay_buffer/rows_000000000012_000000000016.npz").read_bytes() != b"other rows"
    shutil.rmtree(tmp_path / "0")
    shutil.rmtree(tmp_path / "1")
    restored = ArrayReplayBuffer(10)
    SavedRows(restored).restore(tmp_path / "2")
    assert rewards_of(restored) == list(range(6, 16))


def test_a_buffer_tells_its_size_and_is_refused_where_memory_is_too_small():
    with pytest.raises(RlsifError, match=r"of 1,000,000 rows takes 7\.0 MB, .* use 0\.7 MB .*capacity=100000` fits"):
        ArrayReplayBuffer(1_000_000, memory=700_000).add(rows(0, 1))
    buffer = ArrayReplayBuffer(1_000_000, memory=7_000_000)
    buffer.add(rows(0, 1))
    assert buffer.nbytes == 7_000_000

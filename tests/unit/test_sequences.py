"""Rows are cut into sequences as RLlib cuts them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rlsif.sampling.recurrent_sampler import sequences


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 12))
def test_sequences_begin_with_an_episode_and_are_no_longer_than_the_longest(lengths, longest):
    ends = np.zeros(sum(lengths), np.bool_)
    ends[np.cumsum(lengths) - 1] = True
    starts, found = sequences(ends, longest)
    expected = [min(longest, length - cut) for length in lengths for cut in range(0, length, longest)]
    assert found.tolist() == expected
    assert starts.tolist() == np.cumsum([0, *expected[:-1]]).tolist()

"""Names of environments."""

import pytest

from rlsif.envs.find import find
from rlsif.envs.reference import parse
from rlsif.errors import InputError


def test_finds_spaces_and_threshold():
    env = find(parse("CartPole-v1"))
    assert (env.reward_threshold, env.max_episode_steps, env.action_space.n) == (475.0, 500, 2)


@pytest.mark.parametrize(
    "name, said",
    [
        ("Cartpole-v1", "did you mean CartPole-v1"),
        ("nothing:Foo-v0", "module 'nothing' cannot be imported"),
        ("qqqq", "python -m gymnasium"),
        ("LunarLander-v3", "needs a package that is not installed"),
    ],
)
def test_a_name_that_is_none_is_refused(name, said):
    with pytest.raises(InputError, match=said):
        find(parse(name))


def test_an_argument_that_it_does_not_take_is_refused():
    with pytest.raises(InputError, match="cannot be made with"):
        find(parse("CartPole-v1", {"colour": "red"}))

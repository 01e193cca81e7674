"""Environments of Gym where Shimmy, which adapts them, is not installed."""

import sys
from types import ModuleType

import pytest

from rlsif.envs import find
from rlsif.envs.reference import EnvRef
from rlsif.errors import InputError

OLD = """
import gym


class Old(gym.Env):
    def reset(self):
        return 0
"""


@pytest.fixture
def gym(monkeypatch):
    """As much of Gym as a class needs that is derived from its Env."""
    module = ModuleType("gym")
    module.Env = type("Env", (), {})
    monkeypatch.setitem(sys.modules, "gym", module)
    monkeypatch.setitem(sys.modules, "shimmy", None)


def old(tmp_path):
    (tmp_path / "old.py").write_text(OLD)
    return EnvRef(f"{tmp_path}/old.py:Old")


def test_an_environment_of_gym_without_shimmy_names_the_extra(tmp_path, gym):
    with pytest.raises(InputError, match=r"one of Gym's, .* make image-cpu EXTRAS=gym, or derive it from gymnasium"):
        find.find(old(tmp_path))


def test_a_file_that_imports_gym_where_there_is_none_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gym", None)
    with pytest.raises(InputError, match="cannot be imported: .*gym.*; build an image .* make image-cpu EXTRAS=gym"):
        find.find(old(tmp_path))

"""Recorded episodes in RLlib's JSON format: put together from their pieces, and refused where they do not fit."""

import base64
import json
import pickle
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from rlsif.cluster.resources import Cluster
from rlsif.envs import minari
from rlsif.envs.find import FoundEnv, find
from rlsif.envs.recorded import read, sizes_of, told_of_change
from rlsif.envs.reference import parse
from rlsif.errors import InputError
from rlsif.evaluation.recording import Recording
from rlsif.learning.spec import RunSpec, from_json
from rlsif.training import plan
from rlsif.training.options import TrainOptions
from tests import recorded

SPACES = gymnasium.spaces


def found(name="CartPole-v1"):
    return find(parse(name, {}, "."))


def made(observations, actions):
    return FoundEnv(parse("Made-v0", {}, "."), observations, actions, None, None)


def written(folder, *columns):
    (folder / "a.json").write_text("".join(map(recorded.line, columns)))
    return folder


def cut(columns, begin, end):
    return {name: values[begin:end] for name, values in columns.items()}


def test_pieces_of_an_episode_are_put_together(tmp_path):
    one, other = recorded.steps(0), recorded.steps(1)
    written(tmp_path, cut(one, 0, 10), cut(other, 0, 7), cut(one, 10, 500), cut(other, 7, 12))
    there = read(tmp_path, found())
    assert there.ends.tolist() == [len(one["t"]), len(one["t"]) + 12]
    np.testing.assert_array_equal(there.columns["obs"][: len(one["t"])], np.array(one["obs"], np.float32))
    assert there.cut.tolist() == [1]
    assert there.last_seen()[1].tolist() == pytest.approx(other["new_obs"][11])


def test_returns_are_discounted_to_the_end_and_beyond_a_cut(tmp_path):
    there = read(written(tmp_path, cut(recorded.steps(0), 0, 3)), found())
    assert there.returns(0.5, np.array([8.0])).tolist() == [1 + 0.5 + 0.25 + 1, 1 + 0.5 + 2, 1 + 4]


BAD = {
    "obs": ([[1.0, 2.0]], "a.json, line 1: obs are of the shape [2] with numbers from 1 to 2, and CartPole-v1 has"),
    "actions": ([7], "a.json, line 1: action 7 of step 1 is none of CartPole-v1, whose actions are Discrete(2)"),
    "rewards": ([float("nan")], "a.json, line 1: rewards of step 1 are not finite"),
}


@pytest.mark.parametrize("name", ["obs", "actions", "rewards"])
def test_what_does_not_fit_is_refused_with_value_and_file(tmp_path, name):
    value, said = BAD[name]
    written(tmp_path, {**cut(recorded.steps(0), 0, 1), name: value})
    with pytest.raises(InputError) as refused:
        read(tmp_path, found())
    assert said in str(refused.value)


ODD = [
    ({"eps_id": [1]}, "a.json, line 1 has 2 rewards and 1 eps_id; a step has one of each"),
    ({"eps_id": [1, 1], "agent_index": 0}, "a.json, line 1 has 2 rewards and 1 agent_index"),
    ({"rewards": [1e300, 1]}, "a.json, line 1: rewards of step 1 are not finite in float32"),
    ({"obs": [[1e39, 0, 0, 0]] * 2}, "a.json, line 1: obs of step 1 are not finite in float32"),
    ({"rewards": [], "terminateds": []}, "a.json, line 1 has no steps"),
]


@pytest.mark.parametrize(("columns", "said"), ODD)
def test_odd_columns_are_refused(tmp_path, columns, said):
    whole = {"obs": [[0.0] * 4] * 2, "actions": [0, 1], "rewards": [1, 1], "terminateds": [False, True]}
    with pytest.raises(InputError) as refused:
        read(written(tmp_path, {**whole, **columns}), found())
    assert said in str(refused.value)


def test_ids_may_be_of_any_kind_and_ends_of_any_shape(tmp_path):
    columns = {"obs": [[0.0] * 4] * 3, "actions": [0, 1, 0], "rewards": [1, 1, 1], "terminateds": [[False]] * 3}
    for ids in (["a", "b", "b"], [{"a": 1}, [2], [2]], [[1], [2, 3], [2, 3]]):
        written(tmp_path, {**columns, "truncateds": [[False]] * 3, "eps_id": ids})
        assert read(tmp_path, found()).ends.tolist() == [1, 3]


NO_BYTES = [300, -1, 0.5]


@pytest.mark.parametrize("number", NO_BYTES)
def test_images_whose_numbers_would_become_others_are_refused(tmp_path, number):
    env = made(SPACES.Box(0, 255, (20, 20, 1), np.uint8), SPACES.Discrete(2))
    shown = np.full((1, 20, 20, 1), number).tolist()
    written(tmp_path, {"obs": shown, "actions": [0], "rewards": [0], "terminateds": [True]})
    with pytest.raises(InputError, match=f"with numbers from {number} to {number}, and Made-v0 has observations"):
        read(tmp_path, env)


@pytest.mark.parametrize(("number", "range_"), [(3, "0 to 3"), (-1, "-1 to 0"), (0.5, "0 to 0.5")])
def test_a_number_that_is_not_of_the_space_is_refused(tmp_path, number, range_):
    written(tmp_path, {"obs": [0, number], "actions": [0, 0], "rewards": [0, 0], "terminateds": [False, True]})
    with pytest.raises(InputError, match=f"numbers from {range_}, and Made-v0 has observations Discrete"):
        read(tmp_path, made(SPACES.Discrete(3), SPACES.Discrete(2)))


def test_a_damaged_line_is_refused(tmp_path):
    (tmp_path / "a.json").write_text(recorded.line(recorded.steps(0)) + '{"type": "Samp')
    with pytest.raises(InputError, match=r"a\.json, line 2 is damaged"):
        read(tmp_path, found())
    (tmp_path / "a.json").write_text(json.dumps({"type": "SampleBatch", "obs": "bm8="}))
    with pytest.raises(InputError, match=r"a\.json, line 1 is damaged"):
        read(tmp_path, found())


class Harm:
    def __reduce__(self):
        return (print, ("harm",))


def test_a_packed_column_runs_no_code(tmp_path, monkeypatch, capsys):
    from types import ModuleType

    lz4, frame = ModuleType("lz4"), ModuleType("lz4.frame")
    frame.decompress = lambda data: data
    lz4.frame = frame
    monkeypatch.setitem(__import__("sys").modules, "lz4", lz4)
    monkeypatch.setitem(__import__("sys").modules, "lz4.frame", frame)
    packed = base64.b64encode(pickle.dumps(Harm())).decode()
    (tmp_path / "a.json").write_text(json.dumps({"type": "SampleBatch", "obs": packed}))
    with pytest.raises(InputError, match="it has a builtins.print packed"):
        read(tmp_path, found())
    assert "harm" not in capsys.readouterr().out


SPACES_AND_STEPS = [
    (SPACES.Discrete(3), SPACES.Discrete(2, start=1), [0.0, 1.0, 0.0], 1),
    (
        SPACES.Dict(a=SPACES.Discrete(2), b=SPACES.Box(-1, 1, (2,))),
        SPACES.MultiDiscrete([2, 3]),
        [1, 0, 0.5, 1],
        [1, 2],
    ),
    (SPACES.Box(-1, 1, (2, 2)), SPACES.Box(-2, 2, (2,)), [0.1, 0.2, 0.3, 0.4], [1.5, -0.25]),
    (SPACES.MultiBinary(2), SPACES.Tuple([SPACES.Discrete(3), SPACES.Box(-2, 2, (1,))]), [1, 0], [2, 0.5]),
]


@pytest.mark.parametrize(("observations", "actions", "seen", "chosen"), SPACES_AND_STEPS)
def test_what_evaluate_writes_is_read_in_any_space(tmp_path, observations, actions, seen, chosen):
    env = made(observations, actions)
    recording = Recording(tmp_path / "data", env, {})
    row = {
        "obs": np.array(seen, np.float32), "new_obs": np.array(seen, np.float32), "actions": np.array(chosen),
        "rewards": 1.0, "terminateds": False, "truncateds": False,
    }  # fmt: skip
    recording.write([row, {**row, "terminateds": True}])
    assert list((tmp_path / "data").glob("*.json")) == []
    recording.finish()
    there = read(tmp_path / "data", env)
    np.testing.assert_allclose(there.columns["obs"], [seen, seen], rtol=1e-6)
    np.testing.assert_allclose(there.columns["actions"], [chosen, chosen], rtol=1e-6)
    with pytest.raises(InputError, match="was recorded in Made-v0 with"):
        read(tmp_path / "data", found())


def test_a_recording_that_is_not_finished_leaves_nothing(tmp_path):
    recording = Recording(tmp_path, found(), {})
    recording.drop()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--record .* cannot be written"):
        Recording(tmp_path / "file", found(), {})


def test_actions_of_the_environment_are_scaled_where_that_is_said(tmp_path):
    env = made(SPACES.Box(-1, 1, (1,)), SPACES.Box(-2, 2, (1,)))
    written(tmp_path, {"obs": [[0.0]], "actions": [[1.0]], "rewards": [0], "terminateds": [True]})
    assert read(tmp_path, env).columns["actions"].tolist() == [[1.0]]
    assert read(tmp_path, env, in_bounds=True).columns["actions"].tolist() == [[0.5]]


def test_actions_that_would_be_taken_for_others_are_refused_or_told(tmp_path):
    env = made(SPACES.Box(-1, 1, (1,)), SPACES.Box(-2, 2, (1,)))
    row = {"obs": [0.0], "new_obs": [0.0], "actions": [1.5], "rewards": 0.0, "terminateds": True, "truncateds": False}
    recording = Recording(tmp_path, env, {})
    recording.about["normalize_actions"] = True
    recording.write([row])
    recording.finish()
    assert read(tmp_path, env).beyond == 1.0
    with pytest.raises(InputError, match="normalize_actions=true; give --set normalize_actions=true"):
        read(tmp_path, env, normalize=False)
    with pytest.raises(InputError, match="leave out actions_in_input_normalized"):
        read(tmp_path, env, in_bounds=True)


MINARI = Path(__file__).parents[1] / "data/minari"


@pytest.mark.parametrize("named", ["pendulum-v0", "pendulum-v0/data", "pendulum-v0/data/main_data.hdf5"])
def test_a_data_set_of_minari_is_found_by_its_folders_and_its_file(named):
    assert minari.folder_of(MINARI / named) == MINARI / "pendulum-v0/data"
    assert sorted(sizes_of(MINARI / named)) == ["main_data.hdf5", "metadata.json"]
    assert minari.recorded_in(MINARI / "pendulum-v0/data") == "Pendulum-v1"


def test_actions_of_other_bounds_are_refused():
    env = made(SPACES.Box(-8, 8, (3,)), SPACES.Box(-1, 1, (1,)))
    with pytest.raises(
        InputError, match=r"numbers of its actions have low=\[-2.0\], and those of Made-v0 low=\[-1.0\]"
    ):
        read(MINARI / "pendulum-v0", env)
    nested = SPACES.Dict(push=SPACES.Box(-2, 3, (2,)), gear=SPACES.Discrete(3, start=-1), lamps=SPACES.MultiBinary(2))
    with pytest.raises(InputError, match=r"have high=\[4.0, 4.0\], and those of Made-v0 high=\[3.0, 3.0\]"):
        read(MINARI / "nested-v0", made(SPACES.Discrete(2), nested))


def test_what_comes_after_a_step_is_known_but_after_a_cut(tmp_path):
    whole, other = (cut(recorded.steps(seed, 500), 0, 9) for seed in (0, 1))
    whole["terminateds"][-1] = True
    for columns in (whole, other):
        del columns["new_obs"]
    there = read(written(tmp_path, whole, other), found())
    after, known = there.followed()
    assert np.flatnonzero(~known).tolist() == [17]
    np.testing.assert_array_equal(after[:8], there.columns["obs"][1:9])


def test_what_has_become_of_files_is_told(tmp_path):
    recorded.write(tmp_path / "data", 1)
    before = sizes_of(tmp_path / "data")
    assert told_of_change(before, before) == ""
    (tmp_path / "data/more.json").touch()
    (tmp_path / "data/played.json").write_text("\n")
    after = sizes_of(tmp_path / "data")
    assert told_of_change(before, after) == "more.json is new, played.json is of another size"
    assert told_of_change({**after, "a": 1, "b": 1}, after) == "a, b are gone"


REFUSED = [
    ({"algo": "BC"}, "BC learns from recorded episodes, and none are given"),
    ({"algo": "BC", "input": Path("none")}, "none is not there"),
    ({"algo": "MARWIL", "input": Path("empty")}, "empty has no file *.json; `evaluate RUN --record FOLDER`"),
    ({"input": Path("data")}, "--input data: PPO samples, and learns from no files; use --algo BC or CQL or MARWIL"),
    ({"algo": "BC", "input": Path("data"), "num_env_runners": 2}, "--num-env-runners is 2, and BC learns"),
    ({"algo": "BC", "input": Path("data"), "env": "Acrobot-v1"}, "line 1: obs are of the shape [4] with"),
    ({"algo": "CQL", "input": Path("data")}, "CQL cannot act in CartPole-v1: its actions are Discrete, not Box"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_a_run_that_cannot_be_is_refused(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    recorded.write(tmp_path / "data", 1)
    with pytest.raises(InputError) as refused:
        plan.make_plan(TrainOptions(**{"env": "CartPole-v1", **given}))
    assert said in str(refused.value)


def test_it_is_evaluated_and_its_input_is_kept(tmp_path):
    recorded.write(tmp_path / "data", 1)
    made = plan.make_plan(TrainOptions(env="CartPole-v1", algo="bc", input=tmp_path / "data", num_cpus=1))
    assert (made.layout.num_env_runners, made.layout.evaluation.every, made.stop.by_evaluation) == (0, 5, True)
    there = plan.make_plan(TrainOptions(env="CartPole-v1", algo="BC", input=tmp_path / "data"), Cluster(4, 2, 0)).layout
    assert (there.num_env_runners, there.elastic, there.by_role, there.evaluation.beside) == (0, False, True, True)
    assert from_json(made.spec.as_json()).input == str(tmp_path / "data")
    assert (
        from_json({n: v for n, v in RunSpec("PPO", "tf", made.spec.env).as_json().items() if n != "input"}).input
        is None
    )

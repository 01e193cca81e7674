"""Presets, files and --set."""

import math
from pathlib import Path

import pytest
import yaml

from rlsif.envs.reference import parse
from rlsif.errors import InputError
from rlsif.learning import hyperparameters
from rlsif.learning.catalogue import catalogue
from rlsif.learning.without_effect import instead
from rlsif.values import from_settings, merge, of_yaml_file

KNOWN = {
    "lr": 5e-5,
    "gamma": 0.99,
    "use_critic": True,
    "model": {"fcnet_hiddens": [256], "fcnet_activation": "tanh", "use_lstm": False, "max_seq_len": 20},
    "grad_clip": None,
    "exploration_config": {},
    "num_epochs": 30,
    "lr_schedule": None,
    "min_time_s_per_iteration": 10,
    "batch_mode": "truncate_episodes",
    "rollout_fragment_length": "auto",
    "clip_rewards": None,
    "minibatch_size": 128,
    "callbacks": "<class 'RLlibCallback'>",
    "some_text": "a",
}


def test_set_is_typed_and_nested():
    given = from_settings(["lr=0.0003", "model.fcnet_hiddens=[64, 64]", "use_critic=false", "gamma=1e-3"])
    assert given == {"lr": 0.0003, "model": {"fcnet_hiddens": [64, 64]}, "use_critic": False, "gamma": 0.001}


def test_later_settings_win_and_nested_ones_add_up():
    given = from_settings(["lr=1", "model.a=1", "model.b=2", "lr=2"])
    assert given == {"lr": 2, "model": {"a": 1, "b": 2}}


def test_another_exploration_has_no_settings_of_the_one_before():
    preset = {"exploration_config": {"type": "EpsilonGreedy", "epsilon_timesteps": 9}, "model": {"type": 1, "a": 2}}
    for given in (["exploration_config.temperature=2", "exploration_config.type=SoftQ"],
                  ["exploration_config={type: SoftQ, temperature: 2}"]):  # fmt: skip
        merged = merge(preset, from_settings(given))
        assert merged["exploration_config"] == {"type": "SoftQ", "temperature": 2}
    kept = merge(preset, from_settings(["exploration_config.type=EpsilonGreedy", "model.type=3"]))
    assert kept == {**preset, "model": {"type": 3, "a": 2}}


@pytest.mark.parametrize("setting", ["lr", "=3"])
def test_set_without_a_value_is_refused(setting):
    with pytest.raises(InputError, match="--set lr=0.0003"):
        from_settings([setting])


@pytest.mark.parametrize(
    "given, said",
    [
        ({"lrr": 1}, "no hyperparameter 'lrr'; did you mean lr?"),
        ({"model": {"fcnet_hidden": [1]}}, "'model.fcnet_hidden'; did you mean fcnet_hiddens?"),
        ({"lr": "abc"}, "'lr' is 'abc'; it must be like its default, 5e-05"),
        ({"use_critic": 3}, "'use_critic' is 3"),
        ({"num_epochs": True}, "'num_epochs' is True"),
        ({"num_epochs": 1.5}, "'num_epochs' is 1.5; it must be a whole number$"),
        ({"num_epochs": math.inf}, "'num_epochs' is inf; it must be a whole number$"),
        *(
            ({"model": {"fcnet_hiddens": sizes}}, "it must be a list of whole numbers of at least 1, as .64, 64.")
            for sizes in ([64, "x"], [64, 0], [6.5], [[64]], [True], [math.nan])
        ),
        *(
            ({"lr_schedule": given}, "'lr_schedule' is .*; it must be pairs of env steps, which begin at 0 and rise")
            for given in ([[0, "1e"], [9, 1e-4]], [0, 1], [], "x", 3, [[5, 1], [9, 2]], [[0, 1], [0, 2]], [[0, True]])
        ),
        ({"model": {"fcnet_hiddens": 64}}, "'fcnet_hiddens' is 64|'model.fcnet_hiddens' is 64"),
        *(({name: "abc"}, "it must be a number$") for name in ("grad_clip", "min_time_s_per_iteration")),
        *(({"clip_rewards": given}, "it must be true, false, or the number to clip at") for given in ("abc", -1, [1])),
        *(
            ({"rollout_fragment_length": given}, "it must be a whole number of at least 1, or auto")
            for given in (0, -5, 1.5, "abc", None)
        ),
        ({"batch_mode": "whole"}, "'batch_mode' is 'whole'; it must be truncate_episodes or complete_episodes"),
        ({"some_text": 3}, "'some_text' is 3; it must be like its default, 'a'"),
        *(({name: None}, "must be like its default") for name in ("lr", "gamma", "use_critic", "some_text")),
        ({"minibatch_size": None}, "'minibatch_size' is None; it must be a whole number of at least 1"),
        ({"gamma": math.nan}, "'gamma' is nan; it must be from 0 to 1"),
        ({"model": None}, "'model' is None; it is a group of settings"),
        *(
            ({"model": {"fcnet_activation": given}}, "it must be one of linear, tanh, ")
            for given in (5, ["relu"], "tanhh", True)
        ),
        ({"model": {"custom_preprocessor": "mine"}}, "'model.custom_preprocessor' has no effect here: RLlib wants an"),
        (
            {"model": {"fcnet_bias_initializer": 3}},
            "'model.fcnet_bias_initializer' has no effect here: .*new API stack",
        ),
        ({"num_gpus": 1}, "set by --num-gpus"),
        ({"num_gpus_per_learner": 1}, "'num_gpus_per_learner' has no effect here: .*; --num-gpus gives it a GPU"),
        ({"rl_module_spec": {}}, "'rl_module_spec' has no effect here: .*new API stack"),
        *(
            ({"model": {"max_seq_len": n}}, f"'model.max_seq_len' is {n}; it must be a whole number of at least 1")
            for n in (0, -3, 2.5, None)
        ),
    ],
)
def test_wrong_keys_and_values_are_refused(given, said):
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        hyperparameters.check(given, KNOWN, "PPO")


def test_what_one_algorithm_alone_leaves_unread_is_refused_there():
    known = {"lr": 5e-5, "beta": 0.0, "target_network_update_freq": 2}
    with pytest.raises(InputError, match="'lr' has no effect here: SAC's rates are optimization.actor_learning_rate"):
        hyperparameters.check({"lr": 1e-3}, known, "SAC")
    with pytest.raises(InputError, match="APPO's target network follows after each batch"):
        hyperparameters.check({"target_network_update_freq": 500}, known, "APPO")
    with pytest.raises(InputError, match="BC's 'beta' is 1, .* use --algo MARWIL"):
        hyperparameters.check({"beta": 1}, known, "BC")
    hyperparameters.check({"lr": 1e-3, "target_network_update_freq": 500}, known, "DQN")
    hyperparameters.check({"beta": 1}, known, "MARWIL")
    hyperparameters.check({"beta": 0.0}, known, "BC")


@pytest.mark.parametrize("algo", catalogue())
def test_presets_have_settings_with_an_effect(algo):
    text = Path(hyperparameters.__file__).parents[1].joinpath(f"presets/{algo.lower()}.yaml").read_text()
    given = {name for preset in yaml.safe_load(text).values() for name in preset or {}}
    assert [name for name in (*given, *catalogue()[algo].defaults) if instead(name, algo)] == []


SCHEDULE = {"type": "PiecewiseSchedule", "endpoints": [[0, 1.0], [100, 0.1]], "outside_value": 0.1}


@pytest.mark.parametrize(
    "wrong",
    [{"endpoints": [[9, 1.0], [1, 0]]}, {"endpoints": [0, 1]}, {"endpoints": []}, {"endpoints": [["a", 1]]},
     {"endpoints": [[0, None]]}, {"outside_value": None},
     {"outside_value": "x"}, {"outside_value": 5}, {"endpoints": [[0, 2.0], [10, -1]]},
     {"outside_value": math.nan}, {"endpoints": [[0, True], [1, 0]]}],
)  # fmt: skip
def test_a_schedule_that_rllib_would_assert_about_is_refused(wrong):
    hyperparameters.check({"exploration_config": {"epsilon_schedule": SCHEDULE}}, KNOWN, "DQN")
    with pytest.raises(InputError, match="env steps rise, as"):
        hyperparameters.check({"exploration_config": {"epsilon_schedule": {**SCHEDULE, **wrong}}}, KNOWN, "DQN")


@pytest.mark.parametrize(
    "schedule, said",
    [
        (0.3, "is 0.3; its type must be PiecewiseSchedule, whose two endpoints make a line, or ConstantSchedule"),
        ({"type": "LinearSchedule", "schedule_timesteps": 10_000, "final_p": 0.1}, "its type must be Piecewise"),
        ({"type": "PolynomialSchedule", "schedule_timesteps": 10_000, "final_p": 0.1}, "its type must be Piecewise"),
        ({"type": "ConstantSchedule", "value": 2}, "must have a value, an epsilon from 0 to 1"),
        ({"type": "ConstantSchedule"}, "must have a value, an epsilon from 0 to 1"),
        ({"type": "ConstantSchedule", "value": 0.1, "worth": 1}, "a ConstantSchedule has no 'worth'$"),
        ({**SCHEDULE, "outside_valu": 0.1}, "has no 'outside_valu'; did you mean outside_value?"),
    ],
)
def test_a_schedule_of_no_known_kind_is_refused(schedule, said):
    with pytest.raises(InputError, match=said):
        hyperparameters.check({"exploration_config": {"epsilon_schedule": schedule}}, KNOWN, "DQN")
    right = {"type": "ConstantSchedule", "value": 0.1}
    hyperparameters.check({"exploration_config": {"epsilon_schedule": right}}, KNOWN, "DQN")


def test_whole_numbers_may_be_written_as_powers_of_ten():
    given = {"num_epochs": 1e1, "lr": 1e1, "model": {"fcnet_hiddens": [1e1, 64], "max_seq_len": 2e1}}
    hyperparameters.check(given, KNOWN, "PPO")
    whole = hyperparameters.whole_numbers(given, KNOWN)
    assert whole == given
    found = [whole["num_epochs"], *whole["model"]["fcnet_hiddens"], whole["model"]["max_seq_len"], whole["lr"]]
    assert list(map(type, found)) == [int, int, int, int, float]


def test_right_ones_pass():
    schedule = {"lr_schedule": [[0, 1e-3], [1e6, 1e-5]], "min_time_s_per_iteration": 0.5}
    hyperparameters.check({**schedule, "model": {"fcnet_hiddens": []}}, KNOWN, "PPO")
    nothing = {"min_time_s_per_iteration": None, "model": {"fcnet_activation": None}, "grad_clip": None}
    hyperparameters.check({**nothing, "clip_rewards": None}, KNOWN, "PPO")
    for right in ({"rollout_fragment_length": 1e3}, {"clip_rewards": True}, {"clip_rewards": 2.5}, {"callbacks": 3}):
        hyperparameters.check(right, KNOWN, "PPO")
    hyperparameters.check({"model": {"fcnet_activation": "ReLU"}, "rollout_fragment_length": "auto"}, KNOWN, "PPO")
    hyperparameters.check(
        {"lr": 1, "grad_clip": 0.5, "model": {"use_lstm": True}, "exploration_config": {"type": "x"}}, KNOWN, "PPO"
    )


@pytest.mark.parametrize(
    "text, said",
    [
        ("lr: 0.1\nfoo: [1,\n", "line 3, column 1"),
        ("- 1\n", "list at its top"),
        ("", "has nothing in it; it must have keys and values"),
        ("a: b: c\n", "line 1, column 5"),
    ],
)
def test_a_file_with_an_error_is_refused_with_the_place(tmp_path, text, said):
    file = tmp_path / "with space.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        of_yaml_file(file, "--config")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        of_yaml_file(tmp_path / "none.yaml", "--config")


def test_every_algorithm_has_presets():
    for name in catalogue():
        assert isinstance(hyperparameters.preset(name, "CartPole-v1"), dict)
        assert hyperparameters.preset(name, "Other-v0", pixels=True)["model"]["normalize_images"] is True


def test_the_environments_lines_go_over_the_defaults(monkeypatch, tmp_path):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/ppo.yaml").write_text(
        yaml.safe_dump({"default": {"lr": 1, "model": {"a": 1}}, "pixels": {"lr": 2}, "E-v0": {"model": {"b": 2}}})
    )
    monkeypatch.setattr(hyperparameters.resources, "files", lambda _: tmp_path)
    assert hyperparameters.preset("PPO", "E-v0") == {"lr": 1, "model": {"a": 1, "b": 2}}
    assert hyperparameters.preset("PPO", "Other-v0", pixels=True) == {"lr": 2, "model": {"a": 1}}
    of_module = parse("some_module:E-v0").short
    assert hyperparameters.preset("PPO", of_module) == {"lr": 1, "model": {"a": 1, "b": 2}}

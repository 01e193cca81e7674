"""Values mean the same on the command line, in a file, in a preset, and after they were written and read."""

import json

import pytest

from rlsif.errors import InputError
from rlsif.values import env_arguments, from_settings, of_yaml_file, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E6", 1e6),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("1_000_000", 1_000_000),
        ("[[0, 1e-3], [1e6, 1e-5]]", [[0, 0.001], [1e6, 1e-5]]),
        ("{a: 1e-3, 3: x}", {"a": 0.001, "3": "x"}),
        ("{0: up, 1: down, true: x, null: y}", {"0": "up", "1": "down", "true": "x", "null": "y"}),
        ("{<<: {a: 1}, b: 2}", {"a": 1, "b": 2}),
        ("2020-01-01", "2020-01-01"),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("007", "007"),
        ("0x1f", "0x1f"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("true", True),
        ("null", None),
        ("", None),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
    ],
)
def test_a_value(text, value):
    found = read(text) if text != "-" else value
    assert found == value and type(found) is type(value)
    # params.json keeps it, and evaluate and --resume read it from there.
    assert json.loads(json.dumps(found)) == found


def test_a_key_that_is_there_twice_is_told_with_its_place(tmp_path):
    file = tmp_path / "roles.yaml"
    file.write_text("a0: hunter\na1: prey\na0: prey\n")
    with pytest.raises(InputError, match="roles.yaml is not valid YAML at line 3, column 1: the key 'a0' is there"):
        of_yaml_file(file, "--policies")
    with pytest.raises(InputError, match="has a value that is neither"):
        from_settings(["a={1: 2, '1': 3}"])
    assert read("{base: &b {a: 1, b: 1}, over: {<<: *b, a: 2}}")["over"] == {"a": 2, "b": 1}


def test_nothing_is_commented_on_a_command_line():
    given = env_arguments(["color=#ff0000", "title=ship #7", "name='a'", "size=3"])
    assert given == {"color": "#ff0000", "title": "ship #7", "name": "a", "size": 3}


@pytest.mark.parametrize("value", [".nan", "-.inf", "[1, .inf]", "{a: .nan}"])
def test_arguments_are_what_a_runs_files_can_hold(value):
    with pytest.raises(InputError, match=r"--env-config x is .*, and arguments are finite numbers"):
        env_arguments([f"x={value}"])
    assert from_settings([f"x={value}"])


def test_settings_files_and_arguments_are_read_alike():
    text = "[1e-3, no, 2020-01-01]"
    assert from_settings([f"a={text}"])["a"] == env_arguments([f"a={text}"])["a"] == read(f"a: {text}")["a"]

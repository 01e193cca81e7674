"""What cannot be right is told in one sentence, with exit code 2, and leaves nothing; see tests/bad_inputs.py."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from tests import bad_inputs
from tests.faults import BAD_INPUT

OLD = Path(__file__).parents[1] / "data/runs_of_0.1/dense"
COMMANDS = sorted({typed.split()[0] for typed in bad_inputs.bad_inputs()})


@pytest.fixture
def folder_of_a_user(shell):
    """With environments, files of settings, and runs.

    Of one the checkpoint was changed, one has no episode, one knows the spaces that it was trained in.
    """
    for name, content in bad_inputs.FILES.items():
        (shell.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shell.folder / name).write_bytes(content)
    for run in ("run", "damaged", "young", "other"):
        shutil.copytree(OLD, shell.folder / run)
    rows = [json.loads(line) for line in (shell.folder / "young/result.json").read_text().splitlines()]
    told = [json.dumps({**row, "env_runners/episode_return_mean": None}) for row in rows]
    (shell.folder / "young/result.json").write_text("\n".join(told))
    params = json.loads((shell.folder / "other/params.json").read_text())
    params["run"]["spaces"] = "observations Box[4] of float32 and actions Discrete(2)"
    (shell.folder / "other/params.json").write_text(json.dumps(params))
    (shell.folder / "damaged/checkpoints/checkpoint_000002/algorithm_state.pkl").write_text("changed")
    return shell


def contents(folder):
    """Without what libraries keep in a home for themselves."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return {name: (folder / name).stat().st_mtime_ns for name in names if not name.parts[0].startswith(".")}


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_told_in_one_sentence_and_leaves_nothing(folder_of_a_user, command, record_property):
    """Two hundred commands are typed, one after the other."""
    shell, before = folder_of_a_user, contents(folder_of_a_user.folder)
    given = {t: said for t, said in bad_inputs.bad_inputs().items() if t.split()[0] == command}
    lines = json.dumps([shlex.split(typed) for typed in given])
    # Where a run folder would be made.
    home = {"HOME": str(shell.folder)}
    answers = shell("python", Path(__file__).with_name("typing_many.py"), lines, env=home)
    assert answers.returncode == 0, answers.stderr
    wrong = {}
    for (typed, said), (code, _, error) in zip(given.items(), json.loads(answers.stdout), strict=True):
        right = code == 2 and bad_inputs.is_said(said, error)
        record_property(BAD_INPUT, (bad_inputs.row(typed, said), right))
        wrong.update({} if right else {typed: (code, error)})
    assert wrong == {}
    assert contents(shell.folder) == before

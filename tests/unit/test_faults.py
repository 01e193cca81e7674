"""The faults that tests cause: how many there are, and that none on Slurm leaves anything."""

import ast
from pathlib import Path

import pytest

from tests import bad_inputs, faults

SLURM = Path(__file__).parents[1] / "slurm"


def test_there_are_as_many_as_were_asked_for():
    assert len({fault.what for fault in faults.marked("slurm")}) >= 25
    assert len(bad_inputs.bad_inputs()) >= 60


@pytest.mark.parametrize("file", sorted(SLURM.glob("test_*.py")), ids=lambda file: file.stem)
def test_jobs_of_faults_are_looked_after(file):
    """What is left, and rows that are lost or doubled, fail a test by the fixture `submit` or what it is made of."""
    with_faults = {
        fault.test.partition("::")[2] for fault in faults.marked("slurm") if Path(fault.test).name == file.name
    }
    of_file = [node for node in ast.parse(file.read_text()).body if getattr(node, "name", None) in with_faults]
    for function in of_file:
        arguments = {argument.arg for argument in function.args.args}
        assert arguments & {"submit", *_made_of_submitting(file)} or "submitting(" in ast.unparse(function), (
            function.name
        )


def _made_of_submitting(file):
    """Fixtures of a file that look after jobs as `submit` does."""
    functions = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
    return {each.name for each in functions if "submitting(" in ast.unparse(each)}

"""Writes docs/reliability.md from the run of the tests that are marked with a fault.

A test says what goes wrong, and what is promised then:

    @pytest.mark.fault("an env runner dies", promise="it comes back, and training continues")

Its row is written at the end of a run in which the test passed, and taken out where it failed. A unit test refuses a
row that no mark has. Marks are read from the text of the tests: their arguments are plain texts. After a merge any run
of tests puts the rows in their order.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

from tests import bad_inputs

CHECKOUT = Path(__file__).parents[1]
PAGE = CHECKOUT / "docs/reliability.md"
# In the order of the page: folder of the tests, heading.
SECTIONS = {"image": "In runs and commands", "slurm": "In jobs on Slurm", "unit": "In a part alone"}
TABLE_HEAD = ("| fault | what is promised | test |", "|---|---|---|")
# The property of a test's report that has a row of the last table, and whether it was told so; and that table's head.
BAD_INPUT = "bad input"
BAD_INPUTS = """## What cannot be right

Each of these ends with exit code 2 and one sentence, and leaves nothing behind. Three dots are what the machine or the
folder decides.
"""
BAD_INPUTS_HEAD = ("| typed | error |", "|---|---|")
HEAD = """# Reliability

This page lists what can go wrong, what is promised then, and the test that causes the fault and checks the promise.
The run of the tests writes this page: a row is here only if its test has passed. `make test` runs all of them, with the
image and on a Slurm cluster of network namespaces.
"""


@dataclass(frozen=True)
class Fault:
    """A row: what goes wrong, what is promised, and the test, as `tests/unit/test_a.py::test_b`."""

    what: str
    promise: str
    test: str

    @property
    def line(self):
        """The row as the page has it."""
        file, _, name = self.test.partition("::")
        return f"| {self.what} | {self.promise} | [{Path(file).stem}](../{file}): `{name}` |"


def marked(folder):
    """The faults of the tests of a folder, in the order of their files."""
    return [fault for file in sorted((CHECKOUT / "tests" / folder).glob("test_*.py")) for fault in _of_file(file)]


def _of_file(file):
    tree = ast.parse(file.read_text())
    for function in tree.body:
        for decorator in getattr(function, "decorator_list", []):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                [what] = map(ast.literal_eval, decorator.args)
                given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in decorator.keywords}
                yield Fault(what, given["promise"], f"{file.relative_to(CHECKOUT).as_posix()}::{function.name}")


def rows():
    """Every line that a table of the page may have."""
    faults = (fault.line for folder in SECTIONS for fault in marked(folder))
    return {*TABLE_HEAD, *BAD_INPUTS_HEAD, *faults, *_of_bad_inputs()}


def _of_bad_inputs():
    return [bad_inputs.row(typed, said) for typed, said in bad_inputs.bad_inputs().items()]


def page(holds, told):
    """The text of the page: the faults for which `holds` is true, and the rows of bad inputs for which `told` is."""
    parts = [HEAD]
    for folder, heading in SECTIONS.items():
        lines = [fault.line for fault in marked(folder) if holds(fault)]
        if lines:
            parts.append("\n".join([f"## {heading}", "", *TABLE_HEAD, *lines, ""]))
    lines = [line for line in _of_bad_inputs() if told(line)]
    if lines:
        parts.append("\n".join([BAD_INPUTS, *BAD_INPUTS_HEAD, *lines, ""]))
    return "\n".join(parts)


class Faults:
    """Watches a run of tests; the process that starts xdist's workers hears of theirs."""

    def __init__(self):
        self._outcomes, self._inputs = {}, {}

    def pytest_runtest_logreport(self, report):
        self._outcomes.setdefault(report.nodeid.partition("[")[0], set()).add(report.outcome)
        self._inputs.update(told for name, told in report.user_properties if name == BAD_INPUT)

    def pytest_sessionfinish(self, session):
        if not hasattr(session.config, "workerinput"):
            self._before = PAGE.read_text() if PAGE.exists() else ""
            after = page(self._holds, lambda row: self._inputs.get(row, row in self._before))
            if after != self._before:
                PAGE.write_text(after)

    def _holds(self, fault):
        outcomes = self._outcomes.get(fault.test, set())
        return outcomes == {"passed"} or ("failed" not in outcomes and fault.line in self._before)

    def pytest_terminal_summary(self, terminalreporter):
        untested = [
            fault.test
            for folder in SECTIONS
            for fault in marked(folder)
            if self._outcomes.get(fault.test, {"passed"}) != {"passed"} and fault.line in self._before
        ]
        if untested:
            terminalreporter.write_line(f"{PAGE.name} promises what this run did not show: {', '.join(untested)}")

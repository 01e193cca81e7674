"""The pages: links lead somewhere, and what is generated is current."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from rlsif.commands import reference
from tests import bad_inputs, faults
from tests.columns import documented, undocumented

CHECKOUT = Path(__file__).parents[2]


def pages():
    listing = ["git", "ls-files", "-z", "-co", "--exclude-standard", "--", "*.md"]
    names = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [CHECKOUT / name for name in names if name and (CHECKOUT / name).is_file()]


def prose(page):
    """The text of a page without its blocks of code."""
    return re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text())


def anchors(page):
    seen, found = {}, set()
    for heading in re.findall(r"(?m)^#+ (.*)$", prose(page)):
        name = reference.anchor(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", ""))
        # GitHub numbers headings that are alike.
        found.add(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(CHECKOUT).as_posix())
def test_links_lead_to_files_and_headings(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    for link in links:
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name} links to {link}, and there is no such file"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}, and there is no such heading"


def test_the_reference_is_what_the_commands_say():
    text = (CHECKOUT / reference.PAGE).read_text()
    assert text == reference.page(CHECKOUT), f"{reference.PAGE} is not current; run `make docs`"


def test_the_reference_has_what_users_type():
    text = (CHECKOUT / reference.PAGE).read_text()
    assert "| `--algo, --run` | text | | Algorithm: PPO (default)" in text
    assert "| `--deterministic/--stochastic` | | `--deterministic` |" in text
    assert "| `RUN\\|CHECKPOINT` | path | required |" in text
    assert "| `--rollout-nodes` | integer, at least 1 | |" in text
    assert "slurm/rl status JOB" in text
    assert "| `RL_WAIT` | `300` |" in text


def test_a_hidden_option_is_left_out():
    rows = reference.rows(reference.commands(CHECKOUT)["slurm/rl submit"])
    assert "`--dry-run`" in [row.name for row in rows]
    assert "`--checkout`" not in [row.name for row in rows]


def test_every_sbatch_variable_has_a_row():
    script = (CHECKOUT / "slurm/common.sh").read_text()
    variables = set(re.findall(r"(?m)^(RL_\w+)=\$\{\1:-", script))
    assert variables == {name.strip("`") for name, _, _ in reference.knobs(script)}


def test_every_column_of_progress_is_explained():
    from rlsif.training.results import Row

    iteration = {"returns": [], "lengths": [], "num_env_steps_sampled_lifetime": 1, "num_healthy_workers": 1}
    assert undocumented(Row(None).add({**iteration, "statistics": {}}, 1.0)) == []
    assert undocumented(["training_iteration", "no_such_column"]) == ["no_such_column"]


def test_no_column_is_explained_twice():
    assert len(documented()) == len(set(documented()))


def test_the_files_of_the_architecture_page_are_there():
    page = CHECKOUT / "docs/architecture.md"
    named = re.findall(r"\b[a-z_]+/[a-z_]+\.py|(?<=`)[a-z_]+(?:\.py|/)(?=`)", page.read_text())
    assert len(named) > 20
    assert [name for name in named if not (CHECKOUT / "entrypoints/rlsif" / name).exists()] == []


def test_the_page_of_faults_is_not_ahead_of_the_tests():
    written = {line for line in faults.PAGE.read_text().splitlines() if line.startswith("|")}
    assert written - faults.rows() == set(), "run the tests of these rows again: they write the page"
    assert len(faults.marked("slurm")) >= 25 and len(bad_inputs.bad_inputs()) >= 60


def test_the_activations_are_those_of_the_training_page():
    from rlsif.policies.layers import ACTIVATIONS

    text = (CHECKOUT / "docs/training.md").read_text()
    [line] = re.findall(r"networks with the activations (.*?) are sampled in NumPy", text, re.S)
    assert set(re.findall(r"`(\w+)`", line)) == {name for name in ACTIVATIONS if name}


def test_a_long_test_says_why():
    silent = []
    for file in sorted((CHECKOUT / "tests").glob("*/test_*.py")):
        for test in ast.walk(ast.parse(file.read_text())):
            if isinstance(test, ast.FunctionDef) and "pytest.mark.long" in map(ast.unparse, test.decorator_list):
                silent += [] if ast.get_docstring(test) else [f"{file.name}: {test.name}"]
    assert silent == [], "the docstring of a test that is marked `long` says what takes its time"


# What is written instead: video, resume, continue, fix, indefinitely, requeue. An underscore counts as a space.
RIDDLES = re.compile(r"\b(films?|filmed|goes on|go on|going on|for ever|mends?|mended|makes? way|queued again)\b", re.I)
# Programs: where the name is that of an old checkpoint or of a library, or the test of this itself.
ALLOWED = {("entrypoints/rlsif/learning/old_names.py", "mended"), ("tests/unit/test_docs.py", None)}


def riddles(text):
    return [found.lower() for found in RIDDLES.findall(text.replace("_", " "))]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(CHECKOUT).as_posix())
def test_pages_use_the_words_of_the_field(page):
    assert riddles(page.read_text()) == []


@pytest.mark.parametrize("folder", ["entrypoints", "slurm", "tests", "containers", "bench", "examples"])
def test_programs_use_the_words_of_the_field(folder):
    listing = ["git", "ls-files", "-z", "-co", "--exclude-standard", "--", folder]
    names = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split("\0")
    programs = [CHECKOUT / name for name in names if Path(name).suffix in (".py", ".sh") or name == "slurm/rl"]
    found = []
    for program in filter(Path.is_file, programs):
        name = program.relative_to(CHECKOUT).as_posix()
        if (name, None) not in ALLOWED:
            found += [(name, word) for word in riddles(program.read_text()) if (name, word) not in ALLOWED]
    assert programs
    assert found == []

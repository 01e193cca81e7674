"""Scripts for hosts keep to what bash 4.2 and 4.3 take, which the clusters of some sites still have.

shellcheck knows no versions. What is looked for is what came later, and what those took for an error.
"""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
# All that runs outside the image.
SCRIPTS = [
    path
    for path in [CHECKOUT / ".ci/run", CHECKOUT / "containers/host-venv.sh", *sorted((CHECKOUT / "slurm").rglob("*"))]
    if path.is_file() and path.name != "site.conf"
]
# What came later, and with which version.
LATER = {
    r"\$\{[^}]*@[QEPAUuLKak]\}": "4.4",
    r"\b(mapfile|readarray)\s+(-\w+\s+)*-d": "4.4",
    r"\blocal\s+-\s": "4.4",
    r"\bshopt\b.*inherit_errexit": "4.4",
    r"\b(local|declare)\s+-\w*n": "4.3",
    r"\bwait\s+-n": "4.3",
    r"\[\[?\s+-v\s+\w+\[": "4.3",
    r"\$\{\w+\[-\d": "4.3",
    r"\bEPOCH(SECONDS|REALTIME)\b|\bSRANDOM\b": "5.0",
}
# An array as a whole: where there is nothing in it, `set -u` ended a script before 4.4.
WHOLE = re.compile(r"\$\{(\w+)\[[@*]\][^}]*\}")
# What an answer of the image fills; none of them is ever empty.
FILLED = {"roles", "images", "of_a_start", "of_the_job"}


def faults(text):
    """What an older bash would not take, with its line."""
    lines = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [
        *((line, since) for line in lines for pattern, since in LATER.items() if re.search(pattern, line)),
        *((line, name) for line in lines for name in WHOLE.findall(line) if may_be_empty(name, line, text)),
    ]


def may_be_empty(name, line, text):
    """Whether nothing in the line asks for an array that nothing fills."""
    made = re.findall(rf"\b{name}=\(([^)]*)\)", text)
    is_asked_for = f"${{{name}[@]+" in line or f"((${{#{name}[@]}} == 0)) ||" in line
    return not (is_asked_for or name in FILLED or (made and all(made)))


@pytest.mark.fault("a node has a bash before 4.4", promise="the scripts of a job run there, also with empty arrays")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_keeps_to_an_old_bash(script):
    assert faults(script.read_text()) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('a=()\nfor x in "${a[@]}"; do', 1),
        ('a=()\nfor x in ${a[@]+"${a[@]}"}; do', 0),
        ('a=(x)\n"${a[@]}"', 0),
        ('a=(x)\na=()\n"${a[@]}"', 1),
        ('read -ra a <<<"$b"\necho "${a[*]}"', 1),
        ('((${#a[@]} == 0)) || "${a[@]}"', 0),
        ("echo ${x@Q}; wait -n", 2),
    ],
)
def test_what_it_looks_for_is_found(text, number):
    assert len(faults(text)) == number

"""Values handed to bash, as lines that it can evaluate."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Union

Value = Union[str, int, Sequence[str]]


def assignments(values: Mapping[str, Value]) -> str:
    """A line `name=value` each; a sequence becomes an array."""
    return "\n".join(f"{name}={_word(value)}" for name, value in values.items())


def _word(value: Value) -> str:
    if isinstance(value, (str, int)):
        return shlex.quote(str(value))
    return f"({shlex.join(value)})"


def sections(text: str) -> dict[str, str]:
    """Text whose parts begin with a line `== name`; what comes before the first has the name "".

    The environment is the last part: a variable of the host may hold any line.
    """
    found = {"": ""}
    name = ""
    for line in text.splitlines(keepends=True):
        if line.startswith("== ") and name != "environment":
            name = line[3:].strip()
            found[name] = ""
        else:
            found[name] += line
    return found


def variables(text: str) -> dict[str, str]:
    """Those of Slurm and of this project, from what `env` prints."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs if name.startswith(("SLURM_", "RL_"))}

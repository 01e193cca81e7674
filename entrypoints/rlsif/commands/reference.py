"""docs/reference.md, made from the commands themselves: `make docs`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, get_args
from unittest.mock import patch

import tomllib
from typer.models import ArgumentInfo, OptionInfo
from typer.utils import get_params_from_function

from rlsif.commands import cli

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = Path("docs/reference.md")
# The order of the page. Commands that are not named here come after these, slurm/rl last.
ORDER = ("train", "evaluate", "sweep", "runs", "compare", "report", "check", "rollout-demo", "check-gpu")
KINDS = {str: "text", int: "integer", float: "number", Path: "path", bool: ""}
HEADING = """\
# Reference

Every option of every command. This page is generated: `make docs` writes it from the commands in
`entrypoints/rlsif/commands`, from `slurm/rl` and from `slurm/common.sh`. A test compares it with them.
The commands of the image are typed as `apptainer exec rl.sif COMMAND ...`.
Every one of them prints the same with `--help`. Exit codes: 0 for success, 1 for a failed run, 2 for bad input,
130 and 143 for a run that a signal ended, 75 for a run that was interrupted in a job and can be resumed.
"""
KNOBS = """\
## Variables of a job

The scripts for `sbatch` read these variables from the environment of `sbatch`. `RL_BIND` wants absolute paths.
"""


class Row(NamedTuple):
    """One option or argument: its group in --help, and the cells of its line."""

    group: str
    name: str
    values: str
    default: str
    text: str


def page(checkout: Path) -> str:
    """The text of docs/reference.md for the files of a checkout."""
    found = commands(checkout)
    names = sorted(found, key=lambda name: (name.startswith("slurm"), ORDER.index(name) if name in ORDER else 99, name))
    parts = [HEADING, "\n".join(f"- [`{name}`](#{anchor(name)})" for name in names) + "\n"]
    for name in names:
        parts.append(_section(name, found[name]))
        if name.startswith("slurm/rl"):
            parts.append(_other_commands((checkout / "slurm/rl").read_text()))
    parts += [KNOBS, _table(("variable", "default", "meaning"), knobs((checkout / "slurm/common.sh").read_text()))]
    return "\n".join(parts)


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def commands(checkout: Path) -> dict[str, Callable[..., Any]]:
    """What users type, and the function behind it: the scripts of pyproject.toml, and `slurm/rl submit`."""
    scripts = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["scripts"]
    found: dict[str, Callable[..., Any]] = {}
    for name, target in scripts.items():
        module = import_module(target.split(":")[0])
        function = getattr(module, name.replace("-", "_"), None)
        if function:
            found[name] = function
        elif name == "rl":
            # The scripts call the other commands of `rl`.
            found["slurm/rl submit"] = _group(module)["submit"]
        else:
            found.update({f"{name} {verb}": function for verb, function in _group(module).items()})
    return found


def _group(module: ModuleType) -> Mapping[str, Callable[..., Any]]:
    """The commands among which a program's first argument chooses: what its `main` hands over to be run."""
    with patch.object(cli, "run") as run:
        module.main()
    group: Mapping[str, Callable[..., Any]] = run.call_args.args[0]
    return group


def rows(command: Callable[..., Any]) -> list[Row]:
    """The options and arguments of a command, in the order of its parameters."""
    found = get_params_from_function(command).values()
    return [_row(p.name, p.annotation, p.default) for p in found if not getattr(p.default, "hidden", True)]


def knobs(script: str) -> list[tuple[str, ...]]:
    """Variable, default and meaning of every `RL_X=${RL_X:-default}  # meaning` of a script."""
    lines = re.findall(r"^(RL_\w+)=\$\{\1:-(.*?)\}\s+# (.*)$", script, re.M)
    return [(f"`{name}`", f"`{default}`" if default else "", _capital(meaning)) for name, default, meaning in lines]


def _row(name: str, kind: Any, info: OptionInfo | ArgumentInfo) -> Row:
    if isinstance(info, ArgumentInfo):
        spelled = info.metavar or name.upper() + "..." * ("list[" in str(kind))
        shown = spelled if info.default is ... else f"[{spelled}]"
        group, values = info.rich_help_panel or "Arguments", _kind(kind)
    else:
        shown = ", ".join(info.param_decls or ["--" + name.replace("_", "-")])
        group, values = info.rich_help_panel or "Options", f"`{info.metavar}`" if info.metavar else _kind(kind)
    least = f", at least {info.min}" if info.min is not None else ""
    return Row(group, f"`{shown}`", values + least, _default(info), _markdown(info.help or ""))


def _kind(annotation: Any) -> str:
    """The kind of values that a parameter takes, in a word; nothing for a flag."""
    inner = next((kind for kind in get_args(annotation) if kind is not type(None)), annotation)
    return KINDS[next(iter(get_args(inner)), inner)]


def _default(info: OptionInfo | ArgumentInfo) -> str:
    value = info.default
    if isinstance(value, bool):
        # Of a pair of flags, the first one stands for true.
        pair = next((words.split("/") for words in info.param_decls or () if "/" in words), None)
        return f"`{pair[not value]}`" if pair else ""
    return "required" if value is ... else "" if value in (None, "") else f"`{value}`"


def _section(name: str, command: Callable[..., Any]) -> str:
    lines = [f"## {name}\n", _markdown(inspect.cleandoc(command.__doc__ or "")) + "\n"]
    found = rows(command)
    for group in dict.fromkeys(row.group for row in found):
        lines.append(f"**{group}**\n")
        first = "argument" if group == "Arguments" else "option"
        lines.append(_table((first, "values", "default", "meaning"), [row[1:] for row in found if row.group == group]))
    return "\n".join(lines)


def _other_commands(script: str) -> str:
    """The help of slurm/rl, which has the commands that bash runs."""
    return "## slurm/rl\n\n```\n" + script.split("<<HELP\n")[1].split("\nHELP\n")[0] + "\n```\n"


def _table(heading: tuple[str, ...], cells: Iterable[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *cells]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in escaped) + "\n"


def _markdown(text: str) -> str:
    """Help text with rich's marks, as Markdown; paragraphs stay apart."""
    paragraphs = [" ".join(p.split()) for p in text.split("\n\n")]
    return re.sub(r"\[bold\](.*?)\[/bold\]", r"`\1`", "\n\n".join(paragraphs))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    (CHECKOUT / PAGE).write_text(page(CHECKOUT))

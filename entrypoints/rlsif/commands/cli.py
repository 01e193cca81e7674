"""How every command starts and ends: help that teaches, errors in one sentence."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import typer

from rlsif.errors import BAD_INPUT, told_in_one_sentence


def run(command: Callable[..., Any], name: str) -> None:
    """Run a function as the command of that name and exit with the code that it returns."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(p.split()) for p in paragraphs)
    app.command(help=text, context_settings={"help_option_names": ["-h", "--help"]})(command)
    with told_in_one_sentence():
        raise SystemExit(_call(app, name))


def _call(app: typer.Typer, name: str) -> int:
    """Call without Click's own ending, whose usage errors take five lines."""
    program = typer.main.get_command(app)
    try:
        return int(program.main(prog_name=name, standalone_mode=False) or 0)
    except Exception as problem:
        # Click's exceptions, by shape: typer may carry a Click of its own.
        if not hasattr(problem, "format_message"):
            raise
        message = " ".join(problem.format_message().split())
        print(f"error: {message} See `{name} --help`.", file=sys.stderr)
        return BAD_INPUT

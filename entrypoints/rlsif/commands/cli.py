"""How every command starts and ends: help that teaches, errors in one sentence."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import typer

from rlsif.errors import BAD_INPUT, told_in_one_sentence
from rlsif.host_environment import shut_out


def run(command: Callable[..., Any] | Mapping[str, Callable[..., Any]], name: str) -> None:
    """Run a function, or the one of several that the first argument names, and exit with the code it returns."""
    ends(lambda: int(parse(command, name) or 0))


def ends(command: Callable[[], int]) -> None:
    """Call a command and exit with its code, or with one sentence."""
    shut_out(os.environ)
    with told_in_one_sentence():
        raise SystemExit(command())


def parse(
    command: Callable[..., Any] | Mapping[str, Callable[..., Any]], name: str, arguments: list[str] | None = None
) -> Any:
    """Call a command with what arguments, or those of the command line, say; give what it returns.

    That is an exit code where they were wrong, or asked for help. Click's own ending is left out: its usage
    errors take five lines.
    """
    program = typer.main.get_command(_app(command))
    try:
        return program.main(args=arguments, prog_name=name, standalone_mode=False)
    except Exception as problem:
        # Click's exceptions, by shape: typer may carry a Click of its own.
        if not hasattr(problem, "format_message"):
            raise
        words = sys.argv[1:] if arguments is None else arguments
        asked = f"{name} {words[0]}" if isinstance(command, Mapping) and words and words[0] in command else name
        print(f"error: {_said(problem).rstrip('.')}; see `{asked} --help`", file=sys.stderr)
        return BAD_INPUT


def _said(problem: Any) -> str:
    """What Click says, in a line."""
    said = " ".join(problem.format_message().split())
    extra = re.search(r"unexpected extra argument\S* \((.*)\)", said)
    if extra and "=" in extra[1]:
        return f"{extra[1]!r} has no option before it: each KEY=VALUE needs its own --set or --env-config"
    # Click gives no context where an option lacks its value.
    options = problem.ctx.command.params if hasattr(problem, "option_name") and problem.ctx else ()
    if any(option.name == "train" for option in options):
        return f"{said.rstrip('.')}; options of `train` come after --, as in `submit hetjob -- --env CartPole-v1`"
    return said


def _app(command: Callable[..., Any] | Mapping[str, Callable[..., Any]]) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich", no_args_is_help=True)
    for name, function in command.items() if isinstance(command, Mapping) else [(None, command)]:
        paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
        text = "\n\n".join(" ".join(p.split()) for p in paragraphs)
        app.command(name=name, help=text, context_settings={"help_option_names": ["-h", "--help"]})(function)
    return app

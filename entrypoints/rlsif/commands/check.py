"""`check`: what is right and wrong with an environment."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from rlsif.commands import cli


def check(
    env: Annotated[
        str, typer.Argument(help="Environment: a Gymnasium id, module:Id, module:Class, or path/to/file.py:Class.")
    ],
    env_config: Annotated[
        Optional[list[str]],
        typer.Option(metavar="KEY=VALUE", help="One argument of the environment: is_slippery=false. Repeatable."),
    ] = None,
) -> int:
    """Look at an environment before training: Gymnasium's checker and ours, each finding in a sentence.

    Exits with 1 where there is an error, which training would stumble over.
    """
    from pathlib import Path

    from rlsif.envs.check import ERROR
    from rlsif.envs.check import check as check_env
    from rlsif.envs.find import add_code_folder
    from rlsif.training.hyperparameters import from_settings

    add_code_folder(str(Path.cwd()))
    findings = check_env(env, from_settings(env_config or [], "--env-config", "gravity=9.8"))
    for finding in findings:
        print(f"{finding.level:<8} {finding.text}")
    return 1 if any(finding.level == ERROR for finding in findings) else 0


def main() -> None:
    """Run the command."""
    cli.run(check, "check")

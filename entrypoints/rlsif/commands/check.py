"""`check`: what is right and wrong with an environment."""

from __future__ import annotations

from typing import Annotated

import typer

from rlsif.commands import cli, options


def check(
    env: Annotated[str, typer.Argument(help=options.ENV_HELP)],
    env_config: options.ENV_CONFIG = None,
    wrap: options.WRAP = None,
    atari: options.ATARI = None,
    policies: options.POLICIES = None,
    model: options.MODEL = None,
) -> int:
    """Check an environment before training, with Gymnasium's checker and our own. Print each finding in one sentence.

    Exit with 1 if there is an error that would end training.
    """
    import functools
    from pathlib import Path

    from rlsif import packages
    from rlsif.cluster.ray_node import leave_tensorflow_to_those_who_want_it
    from rlsif.envs.checker import check as check_env
    from rlsif.envs.findings import ERROR
    from rlsif.envs.reference import parse
    from rlsif.learning import assignment
    from rlsif.learning.judgement import judgement
    from rlsif.values import env_arguments, wrapper_arguments

    # An environment's file may import RLlib, which takes four times as long with TensorFlow.
    leave_tensorflow_to_those_who_want_it()
    ref = parse(env, env_arguments(env_config or []), Path.cwd(), wrapper_arguments(wrap or []), atari)
    judge = functools.partial(judgement, network=model)
    findings = check_env(ref, judge, assignment.by_option(assignment.told(policies or assignment.SHARED)))
    for finding in findings:
        print(f"{finding.level:<8} {finding.text}")
    for right, text, fix in packages.told(Path(packages.FOLDER), packages.image_digest()):
        print(f"{'ok' if right else 'warning':<8} {text} {fix}".rstrip())
    return 1 if any(finding.level == ERROR for finding in findings) else 0


def main() -> None:
    """Run the command."""
    cli.run(check, "check")

"""What an earlier run left: its settings, and the checkpoint that is meant."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rlsif.envs.find import FoundEnv
from rlsif.envs.recorded import SEES, sizes_of, told_of_change
from rlsif.envs.reference import EnvRef, parse
from rlsif.errors import InputError
from rlsif.learning import own_network
from rlsif.learning.spec import RunSpec, from_json
from rlsif.packages import lacking
from rlsif.policies.spaces import agree
from rlsif.training import checkpoints, results

LAST, BEST = "last", "best"


def checkpoint_of(path: Path, option: str, which: str | int = LAST) -> Path:
    """The checkpoint that a path means: itself, or of a run's the last, the best, or that of an iteration.

    `option` is what the path was given by, for messages. Raises InputError.
    """
    path = path.expanduser().absolute()
    if (path / checkpoints.MANIFEST).is_file():
        return path
    there = path / results.CHECKPOINTS
    found = checkpoints.complete(there)
    if not found:
        what = "has no checkpoint yet" if is_run(path) else "is neither a run's folder nor a checkpoint"
        raise InputError(
            f"{option} {path} {what}; runs lie under ~/ray_results/<env>/ unless --results-dir said otherwise"
        )
    if which == LAST:
        return found[-1]
    if which == BEST:
        return checkpoints.best(there) or found[-1]
    by_iteration = {progress.training_iteration: path for progress, path in checkpoints.readable(there)}
    if isinstance(which, int) and which in by_iteration:
        return by_iteration[which]
    kept = ", ".join(map(str, by_iteration))
    raise InputError(f"{path} has no checkpoint of iteration {which}; it has those of {kept}")


def moved(spec: RunSpec, env: str | None, network: str | None, code_folder: Path) -> RunSpec:
    """What a run trained, at the places that `--env` and `--model` give, where modules or files were moved to others.

    Raises InputError for another network.
    """
    there = _moved_env(spec.env, env, code_folder)
    return replace(spec, env=there, network=own_network.moved(spec.network, network, spec.env, there))


def _moved_env(env: EnvRef, given: str | None, code_folder: Path) -> EnvRef:
    if given is None:
        return env
    there = parse(given, env.arguments, code_folder)
    if not there.place or there.short != env.short:
        return env
    # Wrappers beside it have moved along.
    wrappers = tuple(replace(w, name=f"{there.place}:{w.short}") if w.place == env.place else w for w in env.wrappers)
    return replace(there, wrappers=wrappers)


def check_same(env: EnvRef, given: str | None, code_folder: Path) -> None:
    """Refuse an `--env` that is not the environment of a run at another place. Raises InputError."""
    if given is not None and parse(given, {}, code_folder).name != env.name:
        raise InputError(f"--env is {given}, but the run has {env.name}; --env is only for one that has moved")


def check_spaces(folder: Path, found: FoundEnv) -> None:
    """Refuse an environment that has come to have other spaces than the run was trained in. Raises InputError."""
    trained = spaces_of(folder)
    if trained is not None and not agree(trained, found.described):
        raise InputError(
            f"environment {found.ref.name!r} has {found.described}, and the run in {folder} was trained with {trained};"
            " give --env the place of the code that it was trained with"
        )


def spaces_of(folder: Path) -> str | None:
    """The spaces that a run was trained in, in words; None where an older version wrote it."""
    spaces: str | None = json.loads((folder / results.PARAMS).read_text())["run"].get("spaces")
    return spaces


def told_of_packages(folder: Path) -> str:
    """Which packages of the run are not here as they were; empty where all are."""
    trained = json.loads((folder / results.PARAMS).read_text())["run"].get("packages") or {}
    phrases = lacking(trained)
    return f"the run was trained with {'; with '.join(phrases)}" if phrases else ""


def check_input(spec: RunSpec) -> None:
    """Refuse a run whose recorded episodes are no longer where they were. Raises InputError."""
    if spec.input and not Path(spec.input).exists():
        raise InputError(
            f"the run learns from {spec.input}, which is not there now; --input names its new place; {SEES}"
        )


def told_of_input(folder: Path, spec: RunSpec) -> str:
    """What has become of the recorded episodes since a run began; empty where they are the same, or it samples."""
    before = json.loads((folder / results.PARAMS).read_text())["run"].get("input_files")
    if not spec.input or before is None:
        return ""
    changed = told_of_change(before, sizes_of(Path(spec.input)))
    return f"the run learned from other files so far: in {spec.input}, {changed}" if changed else ""


def is_run(folder: Path) -> bool:
    """Whether `train` has begun a run in this folder."""
    return (folder / results.PARAMS).is_file()


def spec_of(folder: Path) -> RunSpec:
    """What a run trained. Raises InputError where that cannot be read."""
    try:
        return from_json(json.loads((folder / results.PARAMS).read_text())["run"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{folder / results.PARAMS} is missing or was not written by `train`") from problem

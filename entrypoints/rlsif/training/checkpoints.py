"""Checkpoints that are complete or absent: RLlib's own, with a manifest, put in place by one rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rlsif.errors import InputError, RlsifError
from rlsif.files import replace

MANIFEST = "manifest.json"
PREFIX = "checkpoint_"
STAGING = ".incomplete-"


@dataclass(frozen=True)
class Progress:
    """What a run must remember beside RLlib's own state, which keeps no history of episodes.

    Returns and lengths are those of the last 100 episodes, oldest first.
    """

    algo: str
    env: str
    framework: str
    training_iteration: int
    num_env_steps_sampled_lifetime: int
    time_total_s: float
    returns: list[float]
    lengths: list[int]
    # Of the episodes by which its policy was evaluated; None where it was not.
    evaluation_return_mean: float | None = None
    # Whether an evaluation of it was begun that had not ended.
    evaluation_is_due: bool = False
    # Whether its run is evaluated, so that it is judged by that; None where an older version wrote it.
    by_evaluation: bool | None = None
    # The task that a callback had set for the environments, in a list; empty where none had.
    task: list[Any] = field(default_factory=list)
    # Whether the mean return of one checkpoint can be compared with that of another: not against a changing opponent.
    returns_compare: bool = True

    @property
    def episode_return_mean(self) -> float | None:
        """The mean of the returns; None before the first episode has ended."""
        return statistics.fmean(self.returns) if self.returns else None


class CheckpointError(RlsifError):
    """A checkpoint could not be written; the ones before it are as they were."""


def write(folder: Path, progress: Progress, save: Callable[[str], object]) -> Path:
    """Have `save` fill a folder and put it in place as checkpoint_<iteration>.

    Raises CheckpointError where the disk is full or refuses; then nothing of it is left.
    """
    final = _place(folder, progress.training_iteration)
    staging = folder / f"{STAGING}{final.name}"
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        save(str(staging))
        known = _known(folder)
        manifest = {"progress": asdict(progress), "files": _digests(staging, known)}
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1))
        _flush_to_disk(staging, known)
        shutil.rmtree(final, ignore_errors=True)
        staging.rename(final)
    except BaseException as problem:
        shutil.rmtree(staging, ignore_errors=True)
        if not isinstance(problem, OSError):
            raise
        raise CheckpointError(
            f"no checkpoint was written at iteration {progress.training_iteration}: {problem.strerror}"
        ) from problem
    return final


def complete(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first; damaged ones are among them."""
    return sorted(p for p in folder.glob(f"{PREFIX}*") if (p / MANIFEST).is_file())


def _place(folder: Path, iteration: int) -> Path:
    """Where the checkpoint of an iteration is."""
    return folder / f"{PREFIX}{iteration:06d}"


def best(folder: Path) -> Path | None:
    """The checkpoint with the highest mean return, the later of equals; of those that were evaluated, if any were.

    A run that was resumed without evaluations is judged by the returns of its training from then on; where they cannot
    be compared, the last is best.
    """
    known = readable(folder)
    by_evaluation = bool(known) and known[-1][0].by_evaluation is not False
    evaluated = _highest((progress.evaluation_return_mean, path) for progress, path in known if by_evaluation)
    if evaluated or not known:
        return evaluated
    if not known[-1][0].returns_compare:
        return known[-1][1]
    return _highest((progress.episode_return_mean, path) for progress, path in known)


def readable(folder: Path) -> list[tuple[Progress, Path]]:
    """What is known of the checkpoints, oldest first, without those whose manifest a disk or a crash has damaged."""
    found = []
    for path in complete(folder):
        with contextlib.suppress(InputError):
            found.append((read(path), path))
    return found


def _highest(means: Iterable[tuple[float | None, Path]]) -> Path | None:
    scored = [(mean, path) for mean, path in means if mean is not None and math.isfinite(mean)]
    return max(scored)[1] if scored else None


def note_evaluation(folder: Path, iteration: int, return_mean: float | None) -> None:
    """Add to the checkpoint of an iteration what its evaluation came to; one that is deleted is left alone."""
    manifest = _place(folder, iteration) / MANIFEST
    if manifest.is_file():
        content = json.loads(manifest.read_text())
        content["progress"] |= {"evaluation_return_mean": return_mean, "evaluation_is_due": False}
        replace(manifest, json.dumps(content, indent=1))


def due(folder: Path) -> Path | None:
    """The newest checkpoint of which an evaluation was begun that did not end."""
    return next((path for progress, path in reversed(readable(folder)) if progress.evaluation_is_due), None)


def keep(folder: Path, newest: int, pending: int | None = None) -> None:
    """Delete all but the newest checkpoints, the best one, and the one whose evaluation, if any, has not ended."""
    evaluated = [_place(folder, pending)] if pending else []
    kept = {*complete(folder)[-newest:], best(folder), *evaluated}
    for path in complete(folder):
        if path not in kept:
            # One that somebody reads just now may not go at once; half of one must not look like one.
            with contextlib.suppress(OSError):
                shutil.rmtree(path.rename(folder / f"{STAGING}{path.name}"), ignore_errors=True)


def read(checkpoint: Path) -> Progress:
    """What a checkpoint's manifest says. Raises InputError for a folder that is no checkpoint."""
    try:
        return Progress(**json.loads((checkpoint / MANIFEST).read_text())["progress"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{checkpoint} is not a checkpoint that `train` wrote") from problem


def check(checkpoint: Path) -> Progress:
    """What the manifest says, once every file is as it says. Raises InputError and names the one before."""
    progress = read(checkpoint)
    files = json.loads((checkpoint / MANIFEST).read_text())["files"]
    present = _digests(checkpoint)
    for name, digest in files.items():
        if present.get(name) != digest:
            earlier = [p for p in complete(checkpoint.parent) if p.name < checkpoint.name]
            offer = f"; the one before it is --resume {earlier[-1]}" if earlier else "; there is none before it"
            raise InputError(f"checkpoint {checkpoint} is damaged: {name} is missing, cut short or changed{offer}")
    return progress


def _digests(folder: Path, known: Mapping[int, str] | None = None) -> dict[str, str]:
    """The digest of each file but the manifest; `known` has those of files that need not be read, by inode."""
    known = known or {}
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST)
    return {
        p.relative_to(folder).as_posix(): known.get(p.stat().st_ino) or hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
    }


def _known(folder: Path) -> dict[int, str]:
    """The digests of the newest checkpoint's files, by inode; the next one may have links to them."""
    there = complete(folder)[-1:]
    return {
        (path / name).stat().st_ino: digest
        for path in there
        for name, digest in json.loads((path / MANIFEST).read_text())["files"].items()
        if (path / name).is_file()
    }


def _flush_to_disk(folder: Path, known: Mapping[int, str]) -> None:
    """Without this a crash of the machine can leave a renamed folder of empty files."""
    for path in [*folder.rglob("*"), folder]:
        if path.stat().st_ino in known:
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Recorded episodes of a Minari data set, as Farama's `minari` writes it in the format hdf5.

A data set is a folder with `data/metadata.json` and `data/main_data.hdf5`. The file has a group for each episode, with
one observation more than actions, and everything as the environment gives and takes it
(https://minari.farama.org/content/dataset_standards/). It is read by h5py, which TensorFlow brings along.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rlsif.envs.find import FoundEnv
from rlsif.errors import InputError
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter
from rlsif.policies.encoder import MisfitError
from rlsif.policies.spaces import described

Array = NDArray[Any]
MAIN, METADATA, FORMAT = "main_data.hdf5", "metadata.json", "hdf5"
# Of an episode, in the order in which they are missed.
PARTS = ("observations", "actions", "rewards", "terminations", "truncations")


def folder_of(path: Path) -> Path | None:
    """The folder of a data set's files, where `path` is that, the folder above, or the file of episodes; else None."""
    for folder in (path, path / "data", *([path.parent] if path.name == MAIN else [])):
        if (folder / MAIN).is_file() or "data_format" in _metadata(folder):
            return folder
    return None


def files_of(folder: Path) -> list[Path]:
    """The files of a data set. Raises InputError for one in another format."""
    kind = _metadata(folder).get("data_format", FORMAT)
    if kind != FORMAT:
        raise InputError(
            f"--input {folder} is a Minari data set in the format {kind}; those in the format {FORMAT} can be read,"
            f' which Minari writes by DataCollector(..., data_format="{FORMAT}")'
        )
    if not (folder / MAIN).is_file():
        raise InputError(f"--input {folder} is a Minari data set without its file {MAIN}")
    return [path for path in (folder / MAIN, folder / METADATA) if path.is_file()]


def recorded_in(folder: Path) -> str | None:
    """The id of the environment that a data set was recorded in; None where it does not say."""
    spec = _json(_metadata(folder).get("env_spec"))
    return spec.get("id") if isinstance(spec, dict) else None


def episodes(folder: Path, env: FoundEnv, normalize: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The columns of each episode as `rlsif.envs.recorded` has them, with its place in words. Raises InputError.

    `normalize` is RLlib's normalize_actions.
    """
    _check_actions(folder, env)
    file = files_of(folder)[0]
    import h5py

    adapter = ActionAdapter(env.actions, normalize)
    try:
        with h5py.File(file, "r") as opened:
            for name in sorted((name for name in opened if name.startswith("episode_")), key=_number):
                where = f"{file}, {name}"
                yield where, _columns(opened[name], where, env, adapter)
    except OSError as problem:
        raise InputError(f"{file} is damaged, or no file of a Minari data set ({problem})") from None


def _number(name: str) -> int:
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else 0


def _columns(episode: Any, where: str, env: FoundEnv, adapter: ActionAdapter) -> dict[str, Any]:
    lacking = [name for name in PARTS if name not in episode]
    if lacking:
        raise InputError(f"{where} has no {lacking[0]!r}, which every episode of a Minari data set has")
    number = len(episode["rewards"])
    seen = _observations(episode, number + 1, where, env)
    try:
        chosen = adapter.chosen(_decoded(episode["actions"], env.action_space))
    except (KeyError, IndexError, TypeError, ValueError):
        raise InputError(f"{where}: its actions are not those of {env.ref.title}, {described(env.actions)}") from None
    ends = {name: episode[theirs][()] for name, theirs in (("terminateds", PARTS[3]), ("truncateds", PARTS[4]))}
    return {"obs": seen[:-1], "new_obs": seen[1:], "actions": chosen, "rewards": episode["rewards"][()], **ends}


def _observations(episode: Any, number: int, where: str, env: FoundEnv) -> Array:
    """All observations of an episode as a network sees them, [number, ...]. Raises InputError."""
    infos = {masks.KEY: episode["infos"][masks.KEY][()]} if masks.KEY in episode.get("infos", ()) else {}
    try:
        given = _decoded(episode["observations"], env.observation_space)
        return masks.encoder_of(env.observations).batch(given, number, infos)
    except (MisfitError, KeyError, IndexError, TypeError, ValueError) as problem:
        raise InputError(
            f"{where}: its observations are not {number} of {env.ref.title}, {described(env.observations)}"
            f" ({' '.join(str(problem).split()):.200})"
        ) from None


def _decoded(stored: Any, space: Any) -> Any:
    """What a group of the file has, nested as the space is, with [n, ...] in each part."""
    if isinstance(space, gymnasium.spaces.Dict):
        return {name: _decoded(stored[name], part) for name, part in space.spaces.items()}
    if isinstance(space, gymnasium.spaces.Tuple):
        return tuple(_decoded(stored[f"_index_{number}"], part) for number, part in enumerate(space.spaces))
    if len(space.shape) > 1 and stored.ndim <= 2:
        return np.stack([_image(each) for each in stored[()]])
    return stored[()]


def _image(packed: Array) -> Array:
    """An image of Minari's, which is a JPEG."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(packed.tobytes())))


def _check_actions(folder: Path, env: FoundEnv) -> None:
    """Refuse numbers of actions with other bounds than the environment's. Raises InputError."""
    for told, box in _boxes(_json(_metadata(folder).get("action_space")), env.action_space):
        for name, bound in (("low", box.low), ("high", box.high)):
            given = np.asarray(told.get(name, bound), np.float64)
            if given.shape == bound.shape and not np.allclose(given, bound):
                raise InputError(
                    f"{folder}: numbers of its actions have {name}={given.tolist()}, and those of {env.ref.title}"
                    f" {name}={bound.tolist()}; name the environment in which it was recorded"
                )


def _boxes(told: Any, space: Any) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """The parts of a space that are a Box, each with what a data set tells of it."""
    if not isinstance(told, dict) or told.get("type") != type(space).__name__:
        return
    if isinstance(space, gymnasium.spaces.Dict):
        for name, part in space.spaces.items():
            yield from _boxes(told["subspaces"].get(name), part)
    elif isinstance(space, gymnasium.spaces.Tuple):
        for theirs, part in zip(told["subspaces"], space.spaces):
            yield from _boxes(theirs, part)
    elif isinstance(space, gymnasium.spaces.Box):
        yield told, space


def _metadata(folder: Path) -> Mapping[str, Any]:
    """What a data set tells of itself; nothing where it does not."""
    try:
        told = _json((folder / METADATA).read_text())
    except (OSError, UnicodeDecodeError):
        return {}
    return told if isinstance(told, dict) else {}


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None

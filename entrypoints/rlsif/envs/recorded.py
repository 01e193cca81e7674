"""Recorded episodes, in the JSON format of RLlib's offline data or Minari's, read and checked against an environment.

A line has a batch of steps, as RLlib's JsonWriter writes them: `obs` and `new_obs` as the policy's observation encoder
makes them, which are those of RLlib's preprocessors, and `actions` as a policy chose them, with numbers between -1
and 1. Observations as the environment gives them are read, too, where an array can hold them.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.envs import minari
from rlsif.envs.find import FoundEnv
from rlsif.errors import InputError, counted
from rlsif.policies import masks
from rlsif.policies.actions import choices_of, policy_space
from rlsif.policies.encoder import MisfitError
from rlsif.policies.spaces import LARGEST, Box, Composite, Discrete, agree, described

Array = NDArray[Any]
# The columns of batches, one after the other, each with its place in words.
Pieces = Iterator[tuple[str, Mapping[str, Any]]]
# In the infos of an episode's first step: where `evaluate` has recorded it.
KEY = "rlsif"
# Where files are looked for.
SEES = "an image sees home, the working folder, /tmp, and what --bind adds to them, or RL_BIND in a job"
# What an array of NumPy needs when it is unpickled, and nothing that could do harm.
HARMLESS = {
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    ),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True)
class Recorded:
    """The steps of all episodes, one episode after the other, by RLlib's names of the columns; [steps, ...] each."""

    columns: Mapping[str, Array]
    # Where each episode ends: the number of its last step, and 1.
    ends: NDArray[np.int64]
    # Environments of other names, in which some were recorded.
    elsewhere: Sequence[str] = ()
    # Which share of the numbers of actions lies beyond -1 and 1.
    beyond: float = 0.0

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.columns["rewards"])

    @property
    def cut(self) -> NDArray[np.int64]:
        """The numbers of the episodes that did not come to an end of their own."""
        return np.flatnonzero(~self.columns["terminateds"][self.ends - 1])

    def last_seen(self) -> Array:
        """What came after the last step of each episode; the last observation where nobody recorded it."""
        name = "new_obs" if "new_obs" in self.columns else "obs"
        seen: Array = self.columns[name][self.ends - 1]
        return seen

    def followed(self) -> tuple[Array, NDArray[np.bool_]]:
        """What came after each step, and whether that is known; of an episode that was cut off it may be nowhere."""
        if "new_obs" in self.columns:
            return self.columns["new_obs"], np.ones(self.steps, bool)
        known = np.ones(self.steps, bool)
        # After the end of an episode there is nothing, whatever stands here.
        known[self.ends - 1] = self.columns["terminateds"][self.ends - 1]
        return np.roll(self.columns["obs"], -1, axis=0), known

    def returns(self, gamma: float, afterwards: Array) -> NDArray[np.float32]:
        """The discounted sum of all rewards from each step on; `afterwards` is the value after each episode's end."""
        rewards, found = self.columns["rewards"].tolist(), np.empty(self.steps, np.float32)
        begin = 0
        for end, value in zip(self.ends.tolist(), afterwards.tolist()):
            total = value
            for step in range(end - 1, begin - 1, -1):
                total = rewards[step] + gamma * total
                found[step] = total
            begin = end
        return found


def files_of(path: Path) -> list[Path]:
    """The files of a folder, or the one that is named. Raises InputError where there is none."""
    data_set = minari.folder_of(path)
    if data_set:
        return minari.files_of(data_set)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"--input {path} is not there; {SEES}")
    found = sorted(p for p in path.glob("*.json") if not p.name.startswith("."))
    if not found:
        raise InputError(f"--input {path} has no file *.json; `evaluate RUN --record FOLDER` writes one")
    return found


def sizes_of(path: Path) -> dict[str, int]:
    """How many bytes each file has, by its name. Raises InputError where there is none."""
    return {file.name: file.stat().st_size for file in files_of(path)}


def told_of_change(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    """What has become of the files since, in words; empty where they are the same."""
    kinds = {
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
        "of another size": [name for name in now if before.get(name, now[name]) != now[name]],
    }
    return ", ".join(
        f"{', '.join(names)} {'are' if names[1:] else 'is'} {kind}" for kind, names in kinds.items() if names
    )


def read(path: Path, env: FoundEnv, normalize: bool = True, in_bounds: bool = False) -> Recorded:
    """Read all episodes. Raises InputError for what does not fit the environment.

    `normalize` is RLlib's normalize_actions; `in_bounds` says that numbers of actions are the environment's own and
    not between -1 and 1.
    """
    data_set = minari.folder_of(path)
    # Those of Minari are the environment's own, whatever is said of them.
    reader = _Reader(env, normalize, in_bounds and not data_set)
    for pieces in _pieces(path, env, normalize):
        reader.read(pieces)
    if data_set:
        reader.note_origin(minari.recorded_in(data_set))
    if not reader.episodes:
        raise _no_steps(path)
    return reader.recorded()


def check_first_lines(path: Path, env: FoundEnv) -> None:
    """Refuse what the first line of every file, or a data set's first episode, shows not to fit. Raises InputError."""
    reader, is_empty = _Reader(env), True
    for pieces in _pieces(path, env, normalize=True):
        for where, columns in pieces:
            reader.check(columns, where)
            is_empty = False
            break
    if is_empty:
        raise _no_steps(path)


def _no_steps(path: Path) -> InputError:
    return InputError(f"--input {path} has no steps in it; `evaluate RUN --record FOLDER` writes some")


def _pieces(path: Path, env: FoundEnv, normalize: bool) -> list[Pieces]:
    """What each file has. Raises InputError, also when it is gone through."""
    data_set = minari.folder_of(path)
    if data_set:
        return [minari.episodes(data_set, env, normalize)]
    return [_batches(file) for file in files_of(path)]


def _batches(file: Path) -> Pieces:
    return ((where, _columns(line, where)) for where, line in _lines(file))


class _Reader:
    """Puts the pieces of episodes together, file by file."""

    def __init__(self, env: FoundEnv, normalize: bool = True, in_bounds: bool = False) -> None:
        self._env, self._encoder = env, masks.encoder_of(env.observations)
        self._actions, self._mask = policy_space(env.actions, normalize), masks.size_of(env.observations)
        self._bounds = _bounds(env, in_bounds and normalize)
        # Whether a policy's numbers are others than the environment's, which have bounds of their own.
        self._scaled = normalize and _is_bounded(_numbers_of(env))
        self._normalize, self._in_bounds = normalize, in_bounds
        # Of each episode its pieces, in their order.
        self.episodes: list[list[Mapping[str, Array]]] = []
        self._elsewhere: dict[str, None] = {}

    def read(self, pieces: Pieces) -> None:
        """Take in a file."""
        # Episodes that have not ended, by their ids, which are unique within a file.
        under_way: dict[Any, list[Mapping[str, Array]]] = {}
        for where, columns in pieces:
            rows = self.check(columns, where)
            self._check_settings(columns, where)
            ids = _ids(columns, len(rows["rewards"]), where)
            for begin, end in _stretches(rows, ids):
                piece = {name: values[begin:end] for name, values in rows.items()}
                known = None if ids is None else ids[begin]
                episode = under_way.get(known) if known is not None else None
                if episode is None:
                    episode = []
                    self.episodes.append(episode)
                episode.append(piece)
                under_way[known] = episode
                if piece["terminateds"][-1] or piece["truncateds"][-1]:
                    del under_way[known]

    def note_origin(self, env: str | None) -> None:
        """Remember another environment, by its name, in which something was recorded; None where it is not known."""
        if env not in (None, self._env.ref.short):
            self._elsewhere[str(env)] = None

    def recorded(self) -> Recorded:
        """All that was read."""
        pieces = [piece for episode in self.episodes for piece in episode]
        names = set.intersection(*(set(piece) for piece in pieces))
        columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in sorted(names)}
        lengths = [sum(len(piece["rewards"]) for piece in episode) for episode in self.episodes]
        return Recorded(columns, np.cumsum(lengths), tuple(self._elsewhere), self._beyond(columns["actions"]))

    def _beyond(self, actions: Array) -> float:
        numbers = actions.reshape(len(actions), -1)[:, len(_counts(self._actions)) :]
        return float(np.mean(np.abs(numbers) > 1)) if self._scaled and numbers.size else 0.0

    def check(self, columns: Mapping[str, Any], where: str) -> dict[str, Array]:
        """The columns of a line, as arrays of what a policy sees and chooses. Raises InputError."""
        self._check_origin(columns, where)
        lacking = [name for name in ("obs", "actions", "rewards") if name not in columns]
        if lacking:
            raise InputError(f"{where} has no {lacking[0]!r}, which RLlib's format has for every step")
        rewards = _numbers(columns["rewards"], "rewards", where).astype(np.float32).reshape(-1)
        if not len(rewards):
            raise InputError(f"{where} has no steps; a line has at least one")
        ended = columns.get("terminateds", columns.get("dones"))
        if ended is None:
            raise InputError(f"{where} has no 'terminateds', which say where an episode ended")
        number = len(rewards)
        rows = {
            "obs": self._observations(columns["obs"], "obs", where),
            "actions": self._chosen(columns["actions"], where),
            "rewards": rewards,
            "terminateds": _numbers(ended, "terminateds", where).astype(bool).reshape(-1),
            "truncateds": _numbers(columns.get("truncateds", [False] * number), "truncateds", where).astype(bool),
        }
        rows["truncateds"] = rows["truncateds"].reshape(-1)
        if "new_obs" in columns:
            rows["new_obs"] = self._observations(columns["new_obs"], "new_obs", where)
        for name, values in rows.items():
            if len(values) != number:
                raise InputError(f"{where} has {number} rewards and {len(values)} {name}; a step has one of each")
        self._check_legal(rows, where)
        return rows

    def _check_settings(self, columns: Mapping[str, Any], where: str) -> None:
        """Refuse numbers of actions that this run would take for others. Raises InputError."""
        normalized = (_origin(columns) or {}).get("normalize_actions")
        if normalized is None or not _is_bounded(_numbers_of(self._env)):
            return
        if normalized != self._normalize:
            raise InputError(
                f"{where} was recorded with normalize_actions={str(normalized).lower()}; give"
                f" --set normalize_actions={str(normalized).lower()}, because without it numbers mean other actions"
            )
        if self._in_bounds:
            raise InputError(
                f"{where} was written by `evaluate`, with actions as the policy chose them; leave out"
                " actions_in_input_normalized, which is for files from elsewhere"
            )

    def _check_origin(self, columns: Mapping[str, Any], where: str) -> None:
        origin = _origin(columns)
        if origin is None:
            return
        if not agree(str(origin.get("spaces")), self._env.described):
            raise InputError(
                f"{where} was recorded in {origin.get('env')} with {origin.get('spaces')}, and {self._env.ref.title}"
                f" has {self._env.described}"
            )
        self.note_origin(origin.get("env"))

    def _observations(self, given: Any, name: str, where: str) -> Array:
        values = _numbers(given, name, where)
        try:
            return self._encoded(values)
        except (MisfitError, TypeError, ValueError, LookupError):
            raise InputError(
                f"{where}: {name} are of the shape {list(values.shape[1:])}{_range(values)}, and {self._env.ref.title}"
                f" has observations {described(self._env.observations)}, {list(self._encoder.shape)} for a network"
            ) from None

    def _encoded(self, values: Array) -> Array:
        """Observations as a network sees them. Raises one of several errors for what does not fit."""
        if values.shape[1:] == self._encoder.shape:
            return _as_type(values, self._encoder.dtype)
        own = np.dtype(getattr(self._env.observations, "dtype", np.int64))
        return self._encoder.batch(_as_type(values, own), len(values), {})

    def _chosen(self, given: Any, where: str) -> Array:
        """Actions as the policy's space has them, [steps] or [steps, numbers]."""
        space, values = self._actions, _numbers(given, "actions", where)
        counts = _counts(space)
        size = len(counts) + sum(len(part.low) for part in _parts(space) if isinstance(part, Box))
        if values.size != len(values) * size:
            raise InputError(
                f"{where}: actions are of the shape {list(values.shape[1:])}, and {self._env.ref.title} has actions"
                f" {described(self._env.actions)}, {counted(size, 'number')} for a policy"
            )
        values = values.reshape(len(values), size)
        chosen = values[:, : len(counts)]
        wrong = np.argwhere((chosen != np.floor(chosen)) | (chosen < 0) | (chosen >= counts))
        if len(wrong):
            value = chosen[tuple(wrong[0])].item()
            raise InputError(
                f"{where}: action {value:g} of step {wrong[0][0] + 1} is none of {self._env.ref.title}, whose actions"
                f" are {described(self._env.actions)}"
            )
        if self._bounds:
            low, high = self._bounds
            numbers = (values[:, len(counts) :] - low) / (high - low) * 2 - 1
            values = np.concatenate([chosen, numbers], axis=1)
        if isinstance(space, Discrete):
            return values[:, 0].astype(np.int64)
        return values.astype(np.int64 if len(counts) == size else np.float32)

    def _check_legal(self, rows: Mapping[str, Array], where: str) -> None:
        if not self._mask:
            return
        for step, (seen, chosen) in enumerate(zip(rows["obs"], rows["actions"])):
            if not masks.allows(seen, np.asarray(chosen), self._actions, self._mask):
                raise InputError(f"{where}: action {chosen.tolist()} of step {step + 1} is illegal by its action mask")


def _origin(columns: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What `evaluate` has written of where it recorded a line; None for one from elsewhere."""
    infos = columns.get("infos")
    first = infos[0] if isinstance(infos, list) and infos else None
    origin = first.get(KEY) if isinstance(first, Mapping) else None
    return origin if isinstance(origin, Mapping) else None


def _parts(space: Any) -> Sequence[Any]:
    return space.parts if isinstance(space, Composite) else (space,)


def _counts(space: Any) -> Array:
    """How many choices each of a policy's choices has."""
    choices = choices_of(space)
    if choices is None:
        return np.array([])
    return np.atleast_1d(choices.n if isinstance(choices, Discrete) else choices.nvec)


def _as_type(values: Array, dtype: np.dtype[Any]) -> Array:
    """The same numbers in another type. Raises MisfitError where they would be rounded, or begin anew from 0."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if (values != np.floor(values)).any() or values.min() < limits.min or values.max() > limits.max:
            raise MisfitError(f"not all are {dtype}")
    return values.astype(dtype)


def _range(values: Array) -> str:
    return f" with numbers from {values.min():g} to {values.max():g}" if values.size else ""


def _numbers_of(env: FoundEnv) -> Box | None:
    """All numbers of an action in a row, by the environment's own bounds."""
    space = policy_space(env.actions, normalize=False)
    return next((part for part in _parts(space) if isinstance(part, Box)), None)


def _is_bounded(numbers: Box | None) -> bool:
    return numbers is not None and bool(np.isfinite(numbers.low).all() and np.isfinite(numbers.high).all())


def _bounds(env: FoundEnv, wanted: bool) -> tuple[Array, Array] | None:
    """The bounds of all numbers of an action, where they are to be scaled. Raises InputError where one has none."""
    numbers = _numbers_of(env)
    if not wanted or numbers is None:
        return None
    low, high = numbers.low.astype(np.float64), numbers.high.astype(np.float64)
    if not _is_bounded(numbers):
        raise InputError(
            f"actions_in_input_normalized is false, and actions of {env.ref.title} have no bounds by which to scale"
            " them; leave it out"
        )
    return low, high


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that are not empty, each with its place in words. Raises InputError."""
    try:
        with file.open(encoding="utf-8") as opened:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    yield f"{file}, line {number}", line
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{file} cannot be read: {getattr(problem, 'strerror', None) or problem}") from None


def _columns(line: str, where: str) -> Mapping[str, Any]:
    """The columns of a line. Raises InputError for one that is damaged, or of several policies."""
    try:
        found = json.loads(line)
        kind = found["type"]
        if kind == "MultiAgentBatch":
            policies = found["policy_batches"]
            if len(policies) != 1:
                names = f", {', '.join(policies)}" if policies else ""
                raise InputError(f"{where} has steps of {len(policies)} policies{names}; one can be learned from")
            [found] = policies.values()
        elif kind != "SampleBatch":
            raise InputError(f"{where} is of type {kind!r}; RLlib's format has SampleBatch")
        return {name: _unpacked(value) if isinstance(value, str) else value for name, value in dict(found).items()}
    except InputError:
        raise
    except Exception as problem:
        said = " ".join(f"{type(problem).__name__}: {problem}".split())
        raise InputError(f"{where} is damaged, or no batch of RLlib's offline data ({said:.200})") from None


class _Arrays(pickle.Unpickler):
    """Unpickles arrays alone: a file from elsewhere runs no code here."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it has a {module}.{name} packed")
        return super().find_class(module, name)


def _unpacked(text: str) -> Any:
    """A column as RLlib packs it; the type of the line is a text, too."""
    if text in ("SampleBatch", "MultiAgentBatch"):
        return text
    import lz4.frame

    return _Arrays(io.BytesIO(lz4.frame.decompress(base64.b64decode(text, validate=True)))).load()


def packed(values: Array) -> str:
    """A column as RLlib's JsonWriter packs it."""
    import lz4.frame

    return base64.b64encode(lz4.frame.compress(pickle.dumps(values))).decode("ascii")


def _numbers(given: Any, name: str, where: str) -> Array:
    """An array of numbers that float32 can hold. Raises InputError."""
    try:
        values = np.asarray(given)
    except ValueError:
        values = np.array(None)
    if values.ndim == 0 or values.dtype.kind not in "fiub":
        raise InputError(f"{where}: {name} are no array of numbers")
    if values.dtype.kind == "f":
        wrong = np.argwhere(~(np.abs(values) <= LARGEST))
        if len(wrong):
            step = int(wrong[0][0]) + 1
            raise InputError(
                f"{where}: {name} of step {step} are not finite in float32, which would spoil every weight"
            )
    return values


def _ids(columns: Mapping[str, Any], number: int, where: str) -> list[Any] | None:
    """What tells the episode of each step; None where nothing does. Raises InputError."""
    if "eps_id" not in columns:
        return None
    told = []
    for name in ("eps_id", "agent_index"):
        # Of whatever kind: numbers, or texts.
        ids = np.atleast_1d(np.asarray(columns.get(name, [0] * number), object)).tolist()
        if len(ids) != number:
            raise InputError(f"{where} has {number} rewards and {len(ids)} {name}; a step has one of each")
        told.append(map(repr, ids))
    return list(zip(*told))


def _stretches(rows: Mapping[str, Array], ids: Sequence[Any] | None) -> Iterator[tuple[int, int]]:
    """Where the pieces of episodes in a line begin and end."""
    number, over = len(rows["rewards"]), rows["terminateds"] | rows["truncateds"]
    begin = 0
    for step in range(1, number + 1):
        if step == number or over[step - 1] or (ids is not None and ids[step] != ids[step - 1]):
            yield begin, step
            begin = step

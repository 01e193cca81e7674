"""The environment of a run: what `--env`, `--env-config` and `--wrap` name, parsed once for every process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rlsif.errors import InputError

# The wrapper of Atari games, how they can be played, the first without a word, and how their ids begin.
ATARI, PROTOCOLS, GAMES = "rlsif.envs.atari:Atari", ("machado", "deepmind"), "ALE/"


@dataclass(frozen=True)
class Ref:
    """What is named as Gymnasium's, or as module:Name or file.py:Name, and the arguments that it is made with."""

    # As the user gave it, with a file's path made absolute.
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The module or file that it is from; empty for one of Gymnasium's."""
        return self.name.rpartition(":")[0]

    @property
    def short(self) -> str:
        """The name without the module or file that it is from."""
        return self.name.rpartition(":")[2]


class WrapperRef(Ref):
    """A wrapper."""

    def __str__(self) -> str:
        """As `--wrap` takes it."""
        given = ",".join(f"{name}={_typed(value)}" for name, value in self.arguments.items())
        return f"{self.name}:{given}" if given else self.name


@dataclass(frozen=True)
class EnvRef(Ref):
    """Where an environment comes from, what it is called there, and the arguments that it is made with.

    Plain data: it is written to params.json, and the same in every process of a run.
    """

    # Where every process finds the user's own modules.
    code_folder: str = "."
    # The first is the innermost.
    wrappers: tuple[WrapperRef, ...] = ()

    @property
    def title(self) -> str:
        """The name and the wrappers, for messages."""
        own = self.own_wrappers
        return f"{self.name} in {', '.join(w.short for w in own)}" if own else self.name

    @property
    def own_wrappers(self) -> tuple[WrapperRef, ...]:
        """Those that the user named."""
        return tuple(wrapper for wrapper in self.wrappers if wrapper.name != ATARI)

    @property
    def atari(self) -> str | None:
        """How an Atari game is played; None for other environments, and for a game that is left as it is."""
        return next((str(w.arguments["protocol"]) for w in self.wrappers if w.name == ATARI), None)

    @property
    def file_name(self) -> str:
        """The short name as part of a file's name."""
        return self.short.replace("/", "_")

    @property
    def ascii_name(self) -> str:
        """The name for RLlib's register, which takes ASCII alone."""
        return self.name if self.name.isascii() else quote(self.name, safe="/:. ")


def parse(
    name: str,
    arguments: Mapping[str, Any] | None = None,
    code_folder: str | Path = ".",
    wrappers: Iterable[tuple[str, Mapping[str, Any]]] = (),
    atari: str | None = None,
) -> EnvRef:
    """What the names given to `--env`, `--wrap` and `--atari` mean, seen from the working folder.

    Raises InputError for an `--atari` that is none.
    """
    wraps = tuple(WrapperRef(absolute(wrapper), tuples(given)) for wrapper, given in wrappers)
    ref = EnvRef(absolute(name), dict(arguments or {}), str(code_folder), wraps)
    protocol = _protocol(ref, atari)
    return replace(ref, wrappers=(WrapperRef(ATARI, {"protocol": protocol}), *wraps)) if protocol else ref


def _protocol(ref: EnvRef, given: str | None) -> str | None:
    """How the environment is played, if it is an Atari game that the user has not prepared in other ways."""
    if given is None:
        prepared = ref.wrappers or "obs_type" in ref.arguments or "frameskip" in ref.arguments
        return PROTOCOLS[0] if ref.short.startswith(GAMES) and not prepared else None
    if given not in PROTOCOLS:
        raise InputError(f"--atari is {given!r}; it must be {' or '.join(PROTOCOLS)}")
    if not ref.short.startswith(GAMES):
        raise InputError(f"--atari is for games, whose ids begin with {GAMES}, and --env is {ref.name}")
    for name in ("obs_type", "frameskip"):
        if name in ref.arguments:
            raise InputError(f"--env-config {name} is decided by --atari; give one of the two")
    return given


def absolute(name: str) -> str:
    """A name with the path of its file made absolute."""
    place, _, short = name.rpartition(":")
    return f"{Path(place).expanduser().absolute()}:{short}" if place.endswith(".py") else name


def tuples(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with lists as tuples, which Gymnasium's wrappers want for shapes."""
    return {name: _tuple(value) for name, value in arguments.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(each) for each in value) if isinstance(value, list) else value


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

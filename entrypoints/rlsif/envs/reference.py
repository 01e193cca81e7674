"""The environment of a run: what `--env` and `--env-config` name, taken apart once and handed to every process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class EnvRef:
    """Where an environment comes from, what it is called there, and the arguments that it is made with.

    Plain data: it is written to params.json, and the same in every process of a run.
    """

    # As the user gave it, with a file's path made absolute: an id of Gymnasium's, or module:Name, or file.py:Name.
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    # Where every process finds the user's own modules.
    code_folder: str = "."

    @property
    def place(self) -> str:
        """The module or file that it is from; empty for an id of Gymnasium's alone."""
        return self.name.rpartition(":")[0]

    @property
    def short(self) -> str:
        """The name without the module or file that it is from."""
        return self.name.rpartition(":")[2]

    @property
    def file_name(self) -> str:
        """The short name as part of a file's name."""
        return self.short.replace("/", "_")

    @property
    def ascii_name(self) -> str:
        """The name for RLlib's register, which takes ASCII alone."""
        return self.name if self.name.isascii() else quote(self.name, safe="/:. ")

    @property
    def of_file(self) -> bool:
        """Whether it is from a file, as `path/to/file.py:Class`."""
        return self.place.endswith(".py")


def parse(name: str, arguments: Mapping[str, Any] | None = None, code_folder: str | Path = ".") -> EnvRef:
    """What the name given to `--env` means, seen from the working folder."""
    place, _, short = name.rpartition(":")
    if place.endswith(".py"):
        name = f"{Path(place).expanduser().absolute()}:{short}"
    return EnvRef(name, dict(arguments or {}), str(code_folder))

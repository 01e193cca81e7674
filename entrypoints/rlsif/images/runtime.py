"""Which container program a machine has, by what it says of its version, and what that can do."""

from __future__ import annotations

import re
from dataclasses import dataclass

APPTAINER, SINGULARITY_CE = "Apptainer", "SingularityCE"
OLDEST = {APPTAINER: (1, 1), SINGULARITY_CE: (4, 0)}
NAMES = {"apptainer": APPTAINER, "singularity-ce": SINGULARITY_CE, "singularity-pro": SINGULARITY_CE}
WANTED = "Apptainer 1.1 or later, or SingularityCE 4 or later"
# The first Apptainer whose `build` takes --mksquashfs-args; no SingularityCE does.
TAKES_MKSQUASHFS_ARGUMENTS = (1, 4)


@dataclass(frozen=True)
class Runtime:
    """A container program: its name, its version as numbers, and as it says it."""

    name: str
    version: tuple[int, ...]
    said: str

    @property
    def problem(self) -> str | None:
        """Why it will not do, in a few words; None where it will."""
        oldest = OLDEST.get(self.name)
        if oldest is None or self.version < oldest:
            return f"{self.name} {self.said} will not do; {WANTED} is needed"
        return None

    @property
    def takes_mksquashfs_arguments(self) -> bool:
        """Whether a build can be told how to compress."""
        return self.name == APPTAINER and self.version >= TAKES_MKSQUASHFS_ARGUMENTS

    @property
    def builds_with_one_id(self) -> bool:
        """Whether a build can act as root without subordinate ids."""
        return self.name == APPTAINER


def told_by(output: str) -> Runtime:
    """The program that answers `--version` so, as `apptainer version 1.4.5` or `singularity-ce version 4.1.5`."""
    name, _, said = output.strip().rpartition(" version ")
    numbers = re.match(r"(\d+)\.(\d+)", said)
    # SingularityCE before 3.8 and all before it call themselves singularity, or nothing.
    return Runtime(NAMES.get(name, "Singularity"), tuple(map(int, numbers.groups())) if numbers else (), said)

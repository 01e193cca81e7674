"""The one place that calls spython, which neither raises nor tells a failed build from a good one."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlsif.errors import RlsifError
from rlsif.images.runtime import Runtime, told_by

# An ordinary user who unpacks an image cannot give a file to any group but their own.
ALL_ROOT = "-all-root"
# What `timeout` ends with; and how long it lets a program clean up.
TIMED_OUT, SECONDS_TO_END = 124, 10


class ImageError(RlsifError):
    """Apptainer failed; the sentence has the end of what it said."""


class Images:
    """Builds, inspects and runs SIF files with one Apptainer."""

    def __init__(self, program: Path) -> None:
        """Use this program, an Apptainer or a SingularityCE."""
        self.program = program

    @functools.cached_property
    def runtime(self) -> Runtime:
        """What the program is."""
        return told_by(self._run(["--version"])[1])

    def build(
        self,
        recipe: Path | str,
        target: Path,
        options: Sequence[str] = (),
        compression: int | None = None,
        seconds: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Build `target` from a definition or URI; an image that is there is replaced only by a finished one.

        `compression` is a level of zstd, which a program that cannot be told it leaves out. After `seconds` it is given
        up; `variables` go into its environment. Raises ImageError with the last lines that the program printed.
        """
        partial = target.with_name(f".{target.name}.partial")
        partial.unlink(missing_ok=True)
        arguments = ["build", "--force", *options, *self._packing(compression), str(partial), str(recipe)]
        try:
            status, said = self._run(arguments, capture=False, seconds=seconds, variables=variables)
            if seconds and status == TIMED_OUT:
                raise ImageError(f"{recipe} was not there after {seconds} s")
            if status != 0 or not partial.is_file():
                log = target.with_suffix(".log")
                log.write_text(said)
                raise ImageError(f"building {target.name} failed with status {status}: {_end_of(said)}; see {log}")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def _packing(self, compression: int | None) -> list[str]:
        """Arguments for zstd: three times as fast to unpack as gzip; above level 9 slow to pack and hardly smaller."""
        if compression is None or not self.runtime.takes_mksquashfs_arguments:
            return []
        return ["--mksquashfs-args", f"{ALL_ROOT} -comp zstd -Xcompression-level {compression} -b 128K"]

    def labels(self, image: Path) -> dict[str, str]:
        """The labels of an image. Raises ImageError for a file that is none."""
        status, said = self._run(["inspect", "--json", "--labels", str(image)])
        if status != 0:
            raise ImageError(f"{image} is not an image that Apptainer can read: {_end_of(said)}")
        return dict(json.loads(said[said.index("{") :])["data"]["attributes"]["labels"])

    def execute(self, image: Path, command: Sequence[str], options: Sequence[str] = ()) -> tuple[int, str]:
        """Run a command in an image; give its exit status and what it printed on stdout and stderr."""
        return self._run(["exec", *options, str(image), *command])

    def _run(
        self,
        arguments: list[str],
        capture: bool = True,
        seconds: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run the program by spython; without `capture` its stdout goes to ours as it comes."""
        from spython.utils import run_command

        limit = ["timeout", f"--kill-after={SECONDS_TO_END}", str(seconds)] if seconds else []
        command, environment = [*limit, str(self.program), *arguments], {**os.environ, **(variables or {})}
        result = run_command(command, capture=capture, quiet=True, environ=environment)
        return result["return_code"], "".join(result["message"])


def _end_of(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("INFO:")]
    return " | ".join(lines[-3:]) or "it said nothing"

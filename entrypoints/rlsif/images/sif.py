"""The one place that calls spython, which neither raises nor tells a failed build from a good one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rlsif.errors import RlsifError


class ImageError(RlsifError):
    """Apptainer failed; the sentence has the end of what it said."""


class Images:
    """Builds, inspects and runs SIF files with one Apptainer."""

    def __init__(self, apptainer: Path) -> None:
        """Make spython, which looks for a program named `singularity`, find this Apptainer."""
        link = Path(sys.prefix) / "bin/singularity"
        if not link.is_symlink() or link.resolve() != apptainer.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(apptainer.resolve())
        folders = os.environ.get("PATH", "").split(os.pathsep)
        if str(link.parent) not in folders:
            os.environ["PATH"] = os.pathsep.join([str(link.parent), *folders])

    def build(self, recipe: Path | str, target: Path, options: Sequence[str] = ()) -> None:
        """Build `target` from a definition or URI; an image that is there is replaced only by a finished one.

        Raises ImageError with the last lines that Apptainer printed.
        """
        partial = target.with_name(f".{target.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            status, said = self._run(["build", "--force", *options, str(partial), str(recipe)], capture=False)
            if status != 0 or not partial.is_file():
                log = target.with_suffix(".log")
                log.write_text(said)
                raise ImageError(f"building {target.name} failed with status {status}: {_end_of(said)}; see {log}")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def labels(self, image: Path) -> dict[str, str]:
        """The labels of an image. Raises ImageError for a file that is none."""
        status, said = self._run(["inspect", "--json", "--labels", str(image)])
        if status != 0:
            raise ImageError(f"{image} is not an image that Apptainer can read: {_end_of(said)}")
        return dict(json.loads(said[said.index("{") :])["data"]["attributes"]["labels"])

    def execute(self, image: Path, command: Sequence[str], options: Sequence[str] = ()) -> tuple[int, str]:
        """Run a command in an image; give its exit status and what it printed on stdout and stderr."""
        return self._run(["exec", *options, str(image), *command])

    def _run(self, arguments: list[str], capture: bool = True) -> tuple[int, str]:
        """Run Apptainer by spython; without `capture` its stdout goes to ours as it comes."""
        from spython.utils import run_command

        result = run_command(["singularity", *arguments], capture=capture, quiet=True)
        return result["return_code"], "".join(result["message"])


def _end_of(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("INFO:")]
    return " | ".join(lines[-3:]) or "it said nothing"

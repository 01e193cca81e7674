"""`packages`: Python packages beside the code, without building an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlsif.commands import cli

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlsif.packages.solve import Pin

NAMES = Annotated[list[str] | None, typer.Argument(help="Packages, as citylearn or 'citylearn>=2.1'.")]
FILES = Annotated[
    list[Path] | None, typer.Option("-r", "--requirements", help="A requirements.txt or pyproject.toml; repeatable.")
]
WHEELHOUSE = Annotated[
    Path | None, typer.Option(help="A folder of wheels; nothing else is asked, so that no network is needed.")
]
TO = Annotated[Path | None, typer.Option(help="Where to put them; default .rlsif in the working folder.")]


def add(names: NAMES = None, requirements: FILES = None, to: TO = None, wheelhouse: WHEELHOUSE = None) -> int:
    """Install packages beside the code; all processes of a run find them after the image's own packages.

    The image's packages stay as they are: what cannot go together with them is refused.
    """
    from rlsif.packages.added import add as add_packages

    root = to or Path(".rlsif")
    added = add_packages(_wanted(names, requirements), root.absolute(), wheelhouse)
    others = len(added.pins) - len(added.asked)
    rest = f" with {others} other{'s' * (others > 1)}" if others else ""
    print(f"{', '.join(added.asked) or 'nothing that the image has not'}{rest}, in {added.folder}")
    if to is not None:
        print(f"processes find them by RLSIF_PACKAGES={root.absolute()}")
    return 0


def lock(
    names: NAMES = None,
    requirements: FILES = None,
    wheelhouse: WHEELHOUSE = None,
    output: Annotated[Path | None, typer.Option(help="File to write; default: the standard output.")] = None,
) -> int:
    """Solve packages for this image and write them with their hashes, without installing them."""
    from rlsif.packages.solve import solve

    text = _text(solve(_wanted(names, requirements), wheelhouse))
    if output is None:
        print(text, end="")
    else:
        output.write_text(text)
    return 0


def show() -> int:
    """List the packages beyond those of every image: in layers of this one, and beside the code."""
    from rlsif.packages import FOLDER, REQUESTED, folders, for_other_images, image_digest, installed_packages

    for name, version in installed_packages().items():
        print(f"{name:<32} {version}")
    for folder in folders():
        print(f"beside the code: {folder}")
    for folder in for_other_images(Path(FOLDER), image_digest()):
        print(f"for another image: {folder}; `packages add -r {folder / REQUESTED}` solves them for this one")
    return 0


def _wanted(names: Sequence[str] | None, files: Sequence[Path] | None) -> list[str]:
    from rlsif.errors import InputError
    from rlsif.packages.solve import requirements_of

    wanted = [*filter(str.strip, names or []), *(line for file in files or [] for line in requirements_of(file))]
    if not wanted:
        raise InputError("no package is named; name some, or a file of them by -r")
    return wanted


def _text(pins: Sequence[Pin]) -> str:
    return "".join(map(str, pins))


def main() -> None:
    """Run the command."""
    cli.run({"add": add, "lock": lock, "list": show}, "packages")

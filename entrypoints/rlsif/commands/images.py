"""Host side of `make image-cpu` and `make image-gpu`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import List, Optional

import typer

from rlsif.errors import InputError, told_in_one_sentence

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
CHECKOUT = Path(__file__).resolve().parents[3]


@app.command()
def build(
    variants: List[str] = typer.Argument(..., help="cpu, gpu or both."),
    extras: str = typer.Option("", envvar="EXTRAS", help="Optional packages, by comma: notebook."),
    tensorflow: Optional[Path] = typer.Option(None, envvar="TENSORFLOW", help="A TensorFlow wheel of your own."),
    requirements: Optional[Path] = typer.Option(None, envvar="REQUIREMENTS", help="requirements.txt, pyproject.toml."),
    environment: Optional[Path] = typer.Option(None, envvar="ENVIRONMENT", help="An environment.yml of conda."),
    apt: str = typer.Option("", envvar="APT", help="Debian packages, by blank."),
    wheelhouse: Optional[Path] = typer.Option(None, envvar="WHEELHOUSE", help="A folder of wheels, for no network."),
    name: Optional[str] = typer.Option(None, envvar="NAME", help="Name of the image; default rl or rl-gpu."),
) -> None:
    """Build images, or say that they are up to date."""
    from rlsif.images import apptainer, site
    from rlsif.images.build import TARGETS, Request, make
    from rlsif.images.layer import Additions
    from rlsif.images.sif import Images

    with told_in_one_sentence():
        unknown = [v for v in variants if v not in TARGETS]
        if unknown:
            raise InputError(f"there is no image {unknown[0]!r}; there are {', '.join(TARGETS)}")
        wanted = tuple(sorted(e for e in extras.replace(",", " ").split()))
        added = Additions(requirements, environment, tuple(apt.replace(",", " ").split()), wheelhouse)
        requests = [Request(CHECKOUT, v, wanted, tensorflow, added, name) for v in variants]
        machine = site.this_machine()
        images = Images(apptainer.find_or_install(machine, _patchelf()).program)
        for request in requests:
            print(make(request, images, machine))


@app.command()
def ensure_apptainer() -> None:
    """Print the path of a working Apptainer, installing it where that is possible."""
    from rlsif.images import apptainer, site

    with told_in_one_sentence():
        found = apptainer.find_or_install(site.this_machine(), _patchelf())
        print(found.program)
        print(f"apptainer {found.version}, {found.origin}", file=sys.stderr)


def _patchelf() -> str:
    return shutil.which("patchelf", path=f"{sys.prefix}/bin") or "patchelf"


if __name__ == "__main__":
    app()

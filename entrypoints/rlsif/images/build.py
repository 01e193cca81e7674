"""Build rl.sif and rl-gpu.sif from containers/, or do nothing when nothing changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsif.errors import InputError
from rlsif.images import sources
from rlsif.images.apptainer import build_options
from rlsif.images.sif import ImageError, Images
from rlsif.images.site import Site

TARGETS = {"cpu": "rl.sif", "gpu": "rl-gpu.sif"}
INPUTS_LABEL = "rlsif.inputs"
# zstd unpacks three times as fast as gzip; above this level it is slow to pack and hardly smaller.
MKSQUASHFS = f"{sources.ALL_ROOT} -comp zstd -Xcompression-level 9 -b 128K"


@dataclass(frozen=True)
class Request:
    """One image to build: the checkout, the variant, and what the user adds or replaces."""

    checkout: Path
    variant: str
    extras: tuple[str, ...] = ()
    tensorflow: Path | None = None

    def __post_init__(self) -> None:
        """Check it. Raises InputError."""
        known = sorted(p.stem for p in (self.checkout / "containers/requirements/extras").glob("*.lock"))
        for extra in self.extras:
            if extra not in known:
                raise InputError(f"EXTRAS has {extra!r}; known are {', '.join(known)}")
        if self.tensorflow is not None and not (self.tensorflow.is_file() and self.tensorflow.suffix == ".whl"):
            raise InputError(f"TENSORFLOW is {self.tensorflow}, which is not a wheel file (*.whl)")

    @property
    def target(self) -> Path:
        """The image's path."""
        return self.checkout / TARGETS[self.variant]

    def digest(self) -> str:
        """SHA-256 of all that decides the image's content, as far as this checkout holds it."""
        digest = hashlib.sha256()
        for path in sorted(self._inputs()):
            digest.update(f"{path.relative_to(self.checkout)}\0".encode())
            digest.update(path.read_bytes() + b"\0")
        digest.update(_shared_packages(self.checkout / "containers/requirements").encode())
        digest.update(repr((self.variant, self.extras, os.environ.get("CONDA_CHANNEL"))).encode())
        if self.tensorflow:
            digest.update(self.tensorflow.read_bytes())
        return digest.hexdigest()

    def _inputs(self) -> Iterator[Path]:
        yield self.checkout / "pyproject.toml"
        other = {"cpu": "gpu", "gpu": "cpu"}[self.variant]
        for folder in ("containers", "entrypoints"):
            for path in (self.checkout / folder).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts and path.stem != other:
                    yield path


def make(request: Request, images: Images, site: Site) -> str:
    """Have the image, from the cache or by building it; give one line that says what was done."""
    digest = request.digest()
    if built_from(images, request.target) == digest:
        return f"{request.target.name} is up to date"
    kept = cache_folder("images") / f"{request.variant}-{digest[:32]}.sif"
    if not kept.exists():
        started = time.monotonic()
        told_sources = _build(request, digest, images, site, kept)
        seconds = time.monotonic() - started
        kept.with_suffix(".json").write_text(json.dumps({"seconds": seconds, "sources": told_sources}) + "\n")
        _forget_older(kept)
        told = f"built in {seconds:.0f} s"
    else:
        told = f"taken from {kept.parent}"
    _place(kept, request.target)
    return f"{request.target.name}: {told}, {request.target.stat().st_size / 1e6:.0f} MB"


def built_from(images: Images, image: Path) -> str | None:
    """The digest of the inputs that an image was built from; None where it tells none."""
    if not image.exists():
        return None
    try:
        return images.labels(image).get(INPUTS_LABEL)
    except ImageError:
        return None


def build_record(checkout: Path, variant: str) -> dict[str, Any]:
    """How long the image of this checkout took to build, and from what: `seconds`, `sources`."""
    digest = Request(checkout, variant).digest()
    record: dict[str, Any] = json.loads((cache_folder("images") / f"{variant}-{digest[:32]}.json").read_text())
    return record


def _build(request: Request, digest: str, images: Images, site: Site, target: Path) -> str:
    """Build into `target`; tell where the parts came from."""
    options = build_options()
    with tempfile.TemporaryDirectory(prefix="rlsif-build-", dir=os.environ.get("APPTAINER_TMPDIR")) as temporary:
        work = Path(temporary)
        staging = _stage(request, digest, site, work)
        base = sources.base(images, site, work, options)
        channel = sources.channel(site, staging)
        print(f"{request.target.name}: {base.told}; {channel.told}", flush=True)
        (staging / "channel").write_text(channel.value)
        # Not given one by one: an argument that the definition does not use is an error.
        arguments = request.checkout / f"containers/{request.variant}.args"
        definition = request.checkout / "containers/rl.def"
        images.build(
            definition,
            target,
            [
                *options,
                "--build-arg-file",
                str(arguments),
                "--build-arg",
                f"BASE={base.value}",
                "--build-arg",
                f"STAGING={staging}",
                "--mksquashfs-args",
                MKSQUASHFS,
            ],
        )
        return f"{base.told}; {channel.told}"


def _stage(request: Request, digest: str, site: Site, work: Path) -> Path:
    """Put together the folder that is /build in the build stage."""
    staging = work / "build"
    staging.mkdir()
    checkout = request.checkout
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(checkout / "containers", staging / "containers", ignore=ignore)
    project = staging / "project"
    shutil.copytree(checkout / "entrypoints", project / "entrypoints", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(checkout / name, project / name)
    site.stage(staging / "site", sources.RELEASE)
    (staging / "wheels").mkdir()
    if request.tensorflow:
        shutil.copy(request.tensorflow, staging / "wheels")
    (staging / "extras").write_text("".join(f"{e}\n" for e in request.extras))
    (staging / "labels.given").write_text(_labels(request, digest))
    return staging


def _labels(request: Request, digest: str) -> str:
    lock = request.checkout / f"containers/requirements/{request.variant}.lock"
    labels = {
        INPUTS_LABEL: digest,
        "rlsif.variant": request.variant,
        "rlsif.shared": _shared_packages(request.checkout / "containers/requirements"),
        "rlsif.lock": hashlib.sha256(lock.read_bytes()).hexdigest(),
        "rlsif.extras": ",".join(request.extras) or "none",
        "rlsif.commit": _commit(request.checkout),
    }
    return "".join(f"{name} {value}\n" for name, value in labels.items())


def _shared_packages(locks: Path) -> str:
    """A digest of the packages that both images have. Two images with the same one can work together."""
    one, other = (set(re.findall(r"^[\w.-]+==\S+", (locks / f"{v}.lock").read_text(), flags=re.M)) for v in TARGETS)
    return hashlib.sha256("\n".join(sorted(one & other)).encode()).hexdigest()


def _commit(checkout: Path) -> str:
    """The commit that is checked out, marked where files were changed since; `unknown` outside git."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def cache_folder(kind: str) -> Path:
    """Where what is made once is kept by digest, outside the checkout: images, and what tests need."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(root) / "rlsif" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _forget_older(kept: Path) -> None:
    """Keep the newest three images of a variant; each is some hundred megabytes."""
    variant = kept.name.split("-")[0]
    others = sorted(kept.parent.glob(f"{variant}-*.sif"), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in others[3:]:
        old.unlink()
        old.with_suffix(".json").unlink(missing_ok=True)


def _place(kept: Path, target: Path) -> None:
    """Give the image its name in the checkout: as a hard link where the file system allows, else a copy."""
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(kept, partial)
    except OSError:
        shutil.copyfile(kept, partial)
        partial.chmod(0o755)
    partial.replace(target)

"""Build rl.sif and rl-gpu.sif from containers/, and layers on top of them, or do nothing when nothing changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsif.errors import InputError
from rlsif.images import sources
from rlsif.images.apptainer import build_options
from rlsif.images.layer import Additions, lock_is_current, solve, stage_layer
from rlsif.images.sif import ImageError, Images
from rlsif.images.site import Site

TARGETS = {"cpu": "rl.sif", "gpu": "rl-gpu.sif"}
INPUTS_LABEL = "rlsif.inputs"
# The same of the image below a layer.
BELOW_LABEL = "rlsif.below"
# Levels of zstd. A layer packs the whole image again, and is to be there in seconds.
COMPRESSION, LAYER_COMPRESSION = 9, 5
LAYER_SCRIPTS = "containers/build/layer"
NOTHING = Additions()
LAYER = """Bootstrap: localimage
From: {base}

%files
    {staging} /build

%post
    # The seal of the image below, whose own modules stay as they are; see build/fast_import.py.
    bash /build/containers/build/layer.sh "{seal}-layer"
"""


@dataclass(frozen=True)
class Request:
    """One image to build: the checkout, the variant, and what the user adds or replaces."""

    checkout: Path
    variant: str
    extras: tuple[str, ...] = ()
    tensorflow: Path | None = None
    added: Additions = NOTHING
    name: str | None = None

    def __post_init__(self) -> None:
        """Check it. Raises InputError."""
        known = sorted(p.stem for p in self.extras_folder.glob("*.lock"))
        for extra in self.extras:
            if extra not in known:
                raise InputError(f"EXTRAS has {extra!r}; known are {', '.join(known)}")
        if self.tensorflow is not None and not (self.tensorflow.is_file() and self.tensorflow.suffix == ".whl"):
            raise InputError(f"TENSORFLOW is {self.tensorflow}, which is not a wheel file (*.whl)")
        if self.name is not None and not re.fullmatch(r"[\w.-]+", self.name):
            raise InputError(
                f"NAME is {self.name!r}; it must be the name of a file in the checkout, as mine or mine.sif"
            )

    @property
    def target(self) -> Path:
        """The image's path."""
        return self.checkout / (f"{self.name.removesuffix('.sif')}.sif" if self.name else TARGETS[self.variant])

    @property
    def extras_folder(self) -> Path:
        """Where the locks of extras are."""
        return self.checkout / "containers/requirements/extras"

    @property
    def lock(self) -> Path:
        """The lock of the variant's own packages."""
        return self.checkout / f"containers/requirements/{self.variant}.lock"

    def base_digest(self) -> str:
        """SHA-256 of all that decides the base image's content, as far as this checkout holds it."""
        digest = hashlib.sha256()
        for path in sorted(self._inputs()):
            digest.update(f"{path.relative_to(self.checkout)}\0".encode())
            digest.update(path.read_bytes() + b"\0")
        digest.update(_shared_packages(self.checkout / "containers/requirements").encode())
        # Which of the two makes a slim Debian is of no matter; an image of a user's choice is.
        given = os.environ.get("RL_BASE", "")
        base = given if given.startswith(sources.SCHEME) else None
        digest.update(repr((self.variant, os.environ.get("CONDA_CHANNEL"), base)).encode())
        if self.tensorflow:
            digest.update(self.tensorflow.read_bytes())
        return digest.hexdigest()

    def digest(self) -> str:
        """SHA-256 of all that decides the image's content: the base image's, and that of the layer on top."""
        base = self.base_digest()
        files = [*self.extra_files(), *self.added.files(), *sorted(self.checkout.glob(f"{LAYER_SCRIPTS}*"))]
        if not self.has_layer:
            return base
        digest = hashlib.sha256(repr((base, self.extras, self.added.debian)).encode())
        for path in files:
            digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()

    @property
    def has_layer(self) -> bool:
        """Whether something comes on top of the base image."""
        return bool(self.extras) or self.added != NOTHING

    def extra_files(self) -> list[Path]:
        """The locks of the extras, with their lists of Debian packages and their environments."""
        return sorted(p for e in self.extras for p in self.extras_folder.glob(f"{e}.*") if p.suffix != ".in")

    def _inputs(self) -> Iterator[Path]:
        yield self.checkout / "pyproject.toml"
        other = {"cpu": "gpu", "gpu": "cpu"}[self.variant]
        for folder in ("containers", "entrypoints"):
            for path in (self.checkout / folder).rglob("*"):
                of_layer = path.parent == self.extras_folder or str(path).startswith(f"{self.checkout / LAYER_SCRIPTS}")
                if path.is_file() and "__pycache__" not in path.parts and path.stem != other and not of_layer:
                    yield path


def make(request: Request, images: Images, site: Site) -> str:
    """Have the image, from the cache or by building it; give one line that says what was done."""
    base = None
    if request.added.requirements and not lock_is_current(request.added.requirements, request.lock):
        base = _kept_base(request, images, site)[0]
        solve(request.added, request.lock, base, images, site)
    digest = request.digest()
    if built_from(images, request.target) == digest:
        return f"{request.target.name} is up to date"
    kept, told = _kept_base(request, images, site)
    if request.has_layer:
        base, kept = kept, _cached(f"{request.variant}+layer", digest)
        told = f"taken from {kept.parent}"
        if built_from(images, kept) != digest:
            told = _timed(kept, lambda: _build_layer(request, digest, base, images, site, kept))
    _place(kept, request.target)
    return f"{request.target.name}: {told}, {request.target.stat().st_size / 1e6:.0f} MB"


def _kept_base(request: Request, images: Images, site: Site) -> tuple[Path, str]:
    """The base image in the cache, and what was done to have it."""
    digest = request.base_digest()
    kept = _cached(request.variant, digest)
    # By its label, not by its name alone: a copy may have been cut short.
    if built_from(images, kept) == digest:
        return kept, f"taken from {kept.parent}"
    return kept, _timed(kept, lambda: _build(request, digest, images, site, kept))


def _cached(kind: str, digest: str) -> Path:
    return cache_folder("images") / f"{kind}-{digest[:32]}.sif"


def _timed(kept: Path, build: Callable[[], str]) -> str:
    """Build an image in the cache, and note how long that took and where the parts came from."""
    started = time.monotonic()
    told_sources = build()
    seconds = time.monotonic() - started
    kept.with_suffix(".json").write_text(json.dumps({"seconds": seconds, "sources": told_sources}) + "\n")
    _forget_older(kept)
    return f"built in {seconds:.0f} s"


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
    kept = _cached(variant, Request(checkout, variant).base_digest())
    record: dict[str, Any] = json.loads(kept.with_suffix(".json").read_text())
    return record


def _build(request: Request, digest: str, images: Images, site: Site, target: Path) -> str:
    """Build into `target`; tell where the parts came from."""
    options = build_options(images.runtime)
    with tempfile.TemporaryDirectory(prefix="rlsif-build-", dir=os.environ.get("APPTAINER_TMPDIR")) as temporary:
        work = Path(temporary)
        staging = _stage(request, digest, site, work)
        base = sources.base(images, site, work, options)
        channel = sources.channel(site, staging)
        print(f"{request.target.name}: {base}; {channel}", flush=True)
        (staging / "channel").write_text(channel.value)
        told = f"{base.told}; {channel.told}"
        with (staging / "labels.given").open("a") as labels:
            labels.write(f"rlsif.sources {told}\n")
        values = {"BASE": base.value, "STAGING": str(staging), "SEAL": seal(digest)}
        definition = work / "rl.def"
        definition.write_text(rendered(request.checkout / "containers", request.variant, values))
        images.build(definition, target, options, compression=COMPRESSION)
        return told


def rendered(containers: Path, variant: str, values: Mapping[str, str]) -> str:
    """The definition of a variant with every `{{ NAME }}` filled in, as Apptainer itself does from 1.2 on."""
    arguments = re.findall(r"(?m)^(\w+)=(.*)$", (containers / f"{variant}.args").read_text())
    known = {**dict(arguments), **values}
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: known[found[1]], (containers / "rl.def").read_text())


def _build_layer(request: Request, digest: str, base: Path, images: Images, site: Site, target: Path) -> str:
    """Build extras and the user's packages on top of a base image into `target`; tell what they are."""
    with tempfile.TemporaryDirectory(prefix="rlsif-build-", dir=os.environ.get("APPTAINER_TMPDIR")) as temporary:
        work = Path(temporary)
        staging = _stage(request, digest, site, work)
        stage_layer(request.added, request.extra_files(), staging)
        told = ", ".join([*request.extras, *request.added.told()])
        print(f"{request.target.name}: {told} on top of {base.name}", flush=True)
        # Definitions know no quoting, and a user's cache may have a blank in its path.
        (work / "base.sif").symlink_to(base)
        definition = work / "layer.def"
        definition.write_text(LAYER.format(base=work / "base.sif", staging=staging, seal=seal(request.base_digest())))
        images.build(definition, target, build_options(images.runtime), compression=LAYER_COMPRESSION)
        return told


def seal(digest: str) -> str:
    """The word of a definition by which an image knows that its bundle of bytecode is whole."""
    return f"seal-{digest[:32]}"


def _stage(request: Request, digest: str, site: Site, work: Path) -> Path:
    """Put together the folder that is /build in a build."""
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
    (staging / "shared").write_text(_shared_packages(checkout / "containers/requirements"))
    (staging / "labels.given").write_text(_labels(request, digest))
    return staging


def _labels(request: Request, digest: str) -> str:
    labels = {
        INPUTS_LABEL: digest,
        BELOW_LABEL: request.base_digest(),
        "rlsif.variant": request.variant,
        "rlsif.shared": _shared_packages(request.checkout / "containers/requirements"),
        "rlsif.lock": hashlib.sha256(request.lock.read_bytes()).hexdigest(),
        "rlsif.extras": ",".join(request.extras) or "none",
        "rlsif.packages.added": "; ".join(request.added.told()) or "none",
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
    """Keep the newest three images of a kind; each is some hundred megabytes."""
    kind = kept.name.split("-")[0]
    others = sorted(kept.parent.glob(f"{kind}-*.sif"), key=lambda p: p.stat().st_mtime, reverse=True)
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

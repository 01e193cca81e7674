"""What is right and wrong on a machine for this project, each with the line that fixes it.

Runs outside the image, on a login node or a laptop, with nothing but Python's standard library.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rlsif import packages
from rlsif.errors import InputError
from rlsif.images import namespaces
from rlsif.images.runtime import told_by
from rlsif.slurm import planning, submission

OK, WARNING, WRONG = "ok", "warning", "wrong"
# What Ray asks for: open files of a process, and shared memory in bytes.
OPEN_FILES, SHARED_MEMORY = 4096, 1024**3
# A build needs so many bytes in the cache and in the temporary folder; a run hardly any.
BUILD_SPACE, RUN_SPACE = 8 * 1024**3, 1024**3
# An image that is unpacked at every start takes longer, in seconds.
SLOW_START = 3.0
SECONDS = 60
UNPACKED = "install squashfuse, or ask for /dev/fuse; else: apptainer build --sandbox /local/rl rl.sif, once a node"


@dataclass(frozen=True)
class Finding:
    """What was found, in a sentence, and the line that fixes it."""

    level: str
    text: str
    fix: str = ""


def examine(checkout: Path) -> list[Finding]:
    """Look at the machine from every side that matters; takes some seconds."""
    looks: list[Callable[[Path], Iterator[Finding]]] = [
        _python, _apptainer, _namespaces, _fuse, _subordinate_ids, _shared_memory, _open_files, _space,
        _images, _packages, _gpus, _slurm,
    ]  # fmt: skip
    return [finding for look in looks for finding in look(checkout)]


def _python(_: Path) -> Iterator[Finding]:
    # An older one gets its sentence from the script that starts this.
    yield Finding(OK, f"Python {platform.python_version()} on this machine, for building images.")


def _apptainer(checkout: Path) -> Iterator[Finding]:
    program = _program()
    if program is None:
        yield Finding(
            WRONG, "Apptainer is not on the PATH.", "module load apptainer; on Debian, Rocky and Alma: make image-cpu"
        )
        return
    said = _run(program, "--version")
    if said is None:
        yield Finding(WRONG, f"`{program} --version` fails, or takes longer than {SECONDS} s.", "module load apptainer")
        return
    runtime = told_by(said)
    if runtime.problem:
        yield Finding(WRONG, f"{runtime.problem}; this one is at {program}.", "module load apptainer")
        return
    yield Finding(OK, f"{runtime.name} {runtime.said} at {program}.")
    image = checkout / "rl.sif"
    if not image.is_file():
        return
    started = time.monotonic()
    try:
        done = subprocess.run(
            [program, "exec", str(image), "true"], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        yield Finding(WRONG, f"`apptainer exec rl.sif true` takes longer than {SECONDS} s.", UNPACKED)
        return
    seconds = time.monotonic() - started
    if done.returncode != 0:
        end = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        yield Finding(WRONG, f"`apptainer exec rl.sif true` fails; it said {end}", "see docs/troubleshooting.md")
    elif "sandbox" in done.stderr or seconds > SLOW_START:
        yield Finding(
            WARNING,
            f"Apptainer takes {seconds:.1f} s to start rl.sif: it cannot mount the image and unpacks it every time.",
            UNPACKED,
        )
    else:
        how = "by the kernel" if os.geteuid() == 0 else "through FUSE or the kernel"
        yield Finding(OK, f"it mounts rl.sif {how}, in {seconds:.1f} s.")


def _namespaces(_: Path) -> Iterator[Finding]:
    if os.geteuid() == 0:
        return
    if not shutil.which("unshare"):
        yield Finding(WARNING, "whether users may make user namespaces cannot be tried: unshare is missing.")
    elif not namespaces.are_allowed():
        yield Finding(
            WARNING,
            "users may not make user namespaces, which Apptainer needs where it is not installed setuid, and by which "
            "images are built without subordinate ids.",
            "sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1 (an administrator)",
        )
    else:
        yield Finding(OK, "users may make user namespaces.")


def _fuse(_: Path) -> Iterator[Finding]:
    if os.geteuid() == 0:
        return
    if os.access("/dev/fuse", os.R_OK | os.W_OK):
        yield Finding(OK, "/dev/fuse is there.")
    else:
        yield Finding(
            WARNING, "/dev/fuse is not there or closed, so that images are unpacked at every start.",
            "modprobe fuse && chmod 666 /dev/fuse (an administrator)",
        )  # fmt: skip


def _subordinate_ids(_: Path) -> Iterator[Finding]:
    if os.geteuid() == 0:
        return
    user = namespaces.user()
    fix = f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user} (an administrator)"
    lacking = namespaces.lacking_for_many_ids()
    program = _program()
    if not lacking:
        yield Finding(OK, f"{user} has subordinate ids, for building images.")
    elif program and not told_by(_run(program, "--version") or "").builds_with_one_id:
        yield Finding(WARNING, f"{user} has {lacking}; SingularityCE builds images only with them.", fix)
    elif not namespaces.are_allowed():
        yield Finding(WARNING, f"{user} has {lacking}, and no user namespaces to build images without.", fix)
    elif shutil.which("fakeroot"):
        yield Finding(OK, f"{user} has no subordinate ids; images are built in a root-mapped namespace, by fakeroot.")
    else:
        text = f"{user} has no subordinate ids; images are built in a root-mapped namespace. Without the command "
        yield Finding(OK, f"{text}fakeroot some Debian packages cannot be added by APT=.")


def _program() -> str | None:
    return shutil.which("apptainer") or shutil.which("singularity")


def _shared_memory(_: Path) -> Iterator[Finding]:
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:
        yield Finding(WRONG, "/dev/shm is not there, where Ray keeps its objects.", "mount -t tmpfs tmpfs /dev/shm")
        return
    if free < SHARED_MEMORY:
        yield Finding(
            WARNING, f"/dev/shm has {_gb(free)} free; Ray's objects want {_gb(SHARED_MEMORY)}.",
            "mount -o remount,size=50% /dev/shm (an administrator); in Docker: --shm-size=2g",
        )  # fmt: skip
    else:
        yield Finding(OK, f"/dev/shm has {_gb(free)} free.")


def _open_files(_: Path) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        yield Finding(
            WARNING, f"a process may have {hard} files open; Ray wants {OPEN_FILES} on nodes with many env runners.",
            "nofile in /etc/security/limits.conf (an administrator)",
        )  # fmt: skip
    else:
        yield Finding(OK, f"a process may have {soft} files open, and raise that to {hard}.")


def _space(checkout: Path) -> Iterator[Finding]:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    temporary = Path(os.environ.get("TMPDIR", "/tmp"))
    places = [
        ("the checkout", checkout, RUN_SPACE),
        ("the cache", cache, BUILD_SPACE),
        ("TMPDIR", temporary, BUILD_SPACE),
    ]
    for name, place, wanted in places:
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if free < wanted:
            variable = {"the cache": "XDG_CACHE_HOME", "TMPDIR": "TMPDIR"}.get(name)
            fix = f"export {variable}=/a/larger/disk" if variable else "move the checkout to a larger disk"
            yield Finding(WARNING, f"{name}, {place}, has {_gb(free)} free; {_gb(wanted)} are wanted.", fix)
        else:
            yield Finding(OK, f"{name}, {place}, has {_gb(free)} free.")


def _images(checkout: Path) -> Iterator[Finding]:
    from rlsif.images.build import BELOW_LABEL, INPUTS_LABEL, Request

    program = _program()
    for variant, target in (("cpu", "rl.sif"), ("gpu", "rl-gpu.sif")):
        image = checkout / target
        if not image.is_file():
            level = WRONG if variant == "cpu" else WARNING
            yield Finding(level, f"{target} is not built.", f"make image-{variant}")
            continue
        labels = _labels(program, image) if program else {}
        if not labels:
            continue
        extras = tuple(e for e in labels.get("rlsif.extras", "none").split(",") if e != "none")
        below = Request(checkout, variant)
        # Of what a user has added, the image below can be told alone.
        is_current = labels.get(BELOW_LABEL) == below.digest() and (
            labels.get("rlsif.packages.added", "none") != "none"
            or labels.get(INPUTS_LABEL) == Request(checkout, variant, extras).digest()
        )
        versions = ", ".join(
            f"{name} {labels.get(f'rlsif.version.{name}')}" for name in ("python", "ray", "tensorflow")
        )
        if is_current:
            yield Finding(OK, f"{target} is of this checkout: {versions}.")
        else:
            yield Finding(
                WARNING, f"{target} is of another state of this checkout: {versions}.", f"make image-{variant}"
            )


def _packages(checkout: Path) -> Iterator[Finding]:
    program = _program()
    root = Path(os.environ.get(packages.VARIABLE) or packages.FOLDER)
    image = checkout / "rl.sif"
    if not (root.is_dir() and program and image.is_file()):
        return
    for right, text, fix in packages.told(root, _labels(program, image).get("rlsif.pins")):
        yield Finding(OK if right else WARNING, text, fix.replace("IMAGE", "rl.sif"))


def _labels(program: str, image: Path) -> dict[str, str]:
    """The labels of an image; none where it cannot be read, which the start of it has told."""
    try:
        said = json.loads(_run(program, "inspect", "--json", "--labels", str(image)) or "")
        return dict(said["data"]["attributes"]["labels"])
    except (ValueError, KeyError, TypeError):
        return {}


def _gpus(checkout: Path) -> Iterator[Finding]:
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    if not devices:
        yield Finding(OK, "no NVIDIA GPU here; runs use CPUs, or a GPU node of the cluster.")
        return
    said = _run("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    if said is None:
        yield Finding(
            WRONG,
            f"{len(devices)} NVIDIA devices, but nvidia-smi fails.",
            "reinstall the driver, or reboot after its update",
        )
        return
    yield Finding(OK, f"GPUs: {'; '.join(said.splitlines())}.")
    if (checkout / "rl-gpu.sif").is_file() and (program := shutil.which("apptainer")):
        try:
            done = subprocess.run(
                [program, "run", "--nv", str(checkout / "rl-gpu.sif"), "check-gpu"],
                capture_output=True, text=True, timeout=SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            yield Finding(WRONG, f"check-gpu takes longer than {SECONDS} s.", "see docs/troubleshooting.md")
            return
        if done.returncode == 0:
            yield Finding(OK, f"TensorFlow sees {len(done.stdout.splitlines())} of them.")
        else:
            yield Finding(WRONG, (done.stderr.strip().splitlines() or ["check-gpu failed."])[-1], "see docs/images.md")


def _slurm(checkout: Path) -> Iterator[Finding]:
    if not shutil.which("sbatch"):
        yield Finding(OK, "no Slurm here; `train` runs on this machine alone.")
        return
    said = _run("sinfo", "--noheader", "--format=%P|%D|%c|%G|%a")
    if said is None:
        yield Finding(
            WRONG, "sinfo fails: Slurm's controller does not answer.", "scontrol ping; ask the administrators"
        )
        return
    yield Finding(OK, f"{(_run('sinfo', '--version') or 'Slurm').strip()}.")
    for line in said.splitlines():
        partition, nodes, cpus, gres, state = line.split("|")
        gpus = "no GPUs" if gres == "(null)" else gres
        sizes = f"{nodes} node{'s' * (nodes != '1')} of {cpus} CPU{'s' * (cpus != '1')}"
        yield Finding(OK, f"partition {partition}: {sizes}, {gpus}, {state}.")
    yield from _plans(checkout)


def _plans(checkout: Path) -> Iterator[Finding]:
    """Whether Slurm may plan the groups of a job so that one waits indefinitely."""
    try:
        site = submission.read_site(checkout / "slurm/site.conf")
    except InputError as problem:
        yield Finding(WRONG, f"{problem}.", "edit that line")
        return
    there = planning.nodes(_run(*planning.SINFO) or "")
    doubt = planning.doubt(submission.Submission("hetjob", None, None, None, None), site, there)
    if doubt:
        what, _, ways_out = doubt.partition("; ")
        yield Finding(WARNING, f"{what}.", ways_out)


def _run(*command: str) -> str | None:
    """What a command printed; None where it is missing, fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _gb(size: float) -> str:
    return f"{size / 1024**3:.1f} GB"


def main() -> int:
    """Print every finding; give 1 where something is wrong."""
    findings = examine(Path(__file__).resolve().parents[2])
    for finding in findings:
        print(f"{finding.level:<8} {finding.text}")
        if finding.fix:
            print(f"{'':<8} fix: {finding.fix}")
    return 1 if any(finding.level == WRONG for finding in findings) else 0


if __name__ == "__main__":
    raise SystemExit(main())

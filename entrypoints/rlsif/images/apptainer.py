"""Find Apptainer, or install it from the system's packages."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rlsif.errors import RlsifError
from rlsif.images import namespaces
from rlsif.images.debian import PrivateApt
from rlsif.images.runtime import WANTED, Runtime, told_by
from rlsif.images.site import Site

BY_HAND = f"install {WANTED}, or load its module, and see docs/images.md"
# On Debian only the unstable suite has Apptainer, and it wants a newer C library than
# the stable releases have. The whole set goes into a folder of its own.
PACKAGES = [
    "apptainer",
    "squashfs-tools",
    "squashfuse",
    "libsquashfuse0",
    "libfuse3-4",
    "libseccomp2",
    "libsqlite3-0",
    "liblz4-1",
    "liblzma5",
    "liblzo2-2",
    "libzstd1",
    "zlib1g",
    "libc6",
]
STARTER = "lib/x86_64-linux-gnu/apptainer/bin/starter"
PROGRAMS = ["bin/apptainer", "bin/mksquashfs", "bin/unsquashfs", "bin/squashfuse", "bin/squashfuse_ll", STARTER]
SUBORDINATE_IDS = 65536


NAMESPACES = "sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1"
SUBORDINATE = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535"


@dataclass(frozen=True)
class Apptainer:
    """An Apptainer, or a SingularityCE, that works here."""

    program: Path
    runtime: Runtime
    origin: str

    @property
    def version(self) -> str:
        """Its version, as it says it."""
        return self.runtime.said


def find_or_install(site: Site, patchelf: str) -> Apptainer:
    """The Apptainer on PATH or installed before; else a new one from the system's packages.

    Raises RlsifError, with what to do by hand, where none can be had.
    """
    there = _candidates()
    found = next((a for a in there if a.runtime.problem is None), None)
    if found:
        return found
    refused = "; ".join(f"{a.runtime.problem}, and it is at {a.program}" for a in there) or "apptainer is not on PATH"
    distribution = _distribution()
    if "debian" in distribution:
        program = _install_from_debian(site, patchelf)
    elif shutil.which("dnf") and os.geteuid() == 0:
        program = _install_with_dnf()
    else:
        raise RlsifError(f"{refused}; no other can be installed here by this user: {BY_HAND}")
    return Apptainer(program, _runtime(program), "installed from the system's packages")


def find() -> Apptainer | None:
    """The Apptainer on PATH, else the one that this project installed, else a SingularityCE; of those that will do."""
    return next((a for a in _candidates() if a.runtime.problem is None), None)


def _candidates() -> list[Apptainer]:
    """Every container program here, the better ones first."""
    places = [
        (shutil.which("apptainer"), "on PATH"),
        (str(_home() / "bin/apptainer"), "installed by this project"),
        (shutil.which("singularity"), "on PATH"),
    ]
    programs = [(Path(p), origin) for p, origin in places if p and os.access(p, os.X_OK)]
    return [Apptainer(program, _runtime(program), origin) for program, origin in programs]


def build_options(runtime: Runtime) -> list[str]:
    """What `build` needs to act as root in the container: nothing, or --fakeroot.

    Raises RlsifError where this user cannot act as root, with the ways out.
    """
    if os.geteuid() == 0 and has_sys_resource(Path("/proc/self/status").read_text()):
        return []
    if os.geteuid() == 0:
        _give_root_subordinate_ids()
        _install_uidmap()
    # With subordinate ids an Apptainer that is installed setuid needs no user namespace of the user's own.
    elif namespaces.lacking_for_many_ids():
        _check_one_id(runtime)
    return ["--fakeroot"]


def _check_one_id(runtime: Runtime) -> None:
    """Refuse what would fail in the middle. Raises RlsifError with the ways out."""
    user = namespaces.user()
    elsewhere = "or build on another machine and copy rl.sif here"
    if not runtime.builds_with_one_id:
        raise RlsifError(
            f"{runtime.name} {runtime.said} builds only for users with lines in /etc/subuid and /etc/subgid; {user} "
            f"has none; have an administrator run `{SUBORDINATE} {user}`, load Apptainer 1.1 or later, {elsewhere}"
        )
    if not namespaces.are_allowed():
        raise RlsifError(
            f"{user} may not make user namespaces here, by which images are built without root; have an administrator "
            f"run `{NAMESPACES}`, or, where Apptainer is installed setuid, `{SUBORDINATE} {user}`, {elsewhere}"
        )


def has_sys_resource(process_status: str) -> bool:
    """Whether a /proc/PID/status names CAP_SYS_RESOURCE (bit 24), without which Apptainer's root fails."""
    bounding = re.search(r"^CapEff:\s*([0-9a-f]+)", process_status, flags=re.M)
    return bool(bounding and int(bounding.group(1), 16) >> 24 & 1)


def _home() -> Path:
    """Where this project keeps an Apptainer: for everybody when root installs it, else for one user."""
    if os.geteuid() == 0:
        return Path("/usr/local/lib/rlsif/apptainer")
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    return Path(data) / "rlsif/apptainer"


def _runtime(program: Path) -> Runtime:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RlsifError(f"{program} does not run: {done.stderr.strip()}; {BY_HAND}")
    return told_by(done.stdout)


def _distribution() -> set[str]:
    fields = platform.freedesktop_os_release() if hasattr(platform, "freedesktop_os_release") else _os_release()
    return {fields.get("ID", ""), *fields.get("ID_LIKE", "").split()}


def _os_release() -> dict[str, str]:
    """/etc/os-release, for Python 3.9, which cannot read it by itself."""
    return dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), flags=re.M))


def _install_with_dnf() -> Path:
    for packages in (["epel-release"], ["apptainer"]):
        subprocess.run(["dnf", "install", "-y", "-q", *packages], check=False)
    program = shutil.which("apptainer")
    if program is None:
        raise RlsifError(f"`dnf install apptainer` did not bring apptainer; {BY_HAND}")
    return Path(program)


def _install_from_debian(site: Site, patchelf: str) -> Path:
    """Unpack Debian's Apptainer beside its own C library, so that the system's stays as it is."""
    if site.debian_mirror is None:
        raise RlsifError(f"no Debian mirror is named in /etc/apt; set DEBIAN_MIRROR, or {BY_HAND}")
    home = _home()
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as work:
        root = Path(work) / "root"
        PrivateApt(Path(work) / "apt", site, "unstable").unpack(PACKAGES, root)
        _arrange(root)
        shutil.rmtree(home, ignore_errors=True)
        (root / "usr").rename(home)
    home.chmod(0o755)
    _bind_to_private_libraries(home, patchelf)
    _configure(home)
    _link(home / "bin/apptainer")
    return home / "bin/apptainer"


def _arrange(root: Path) -> None:
    """Turn the unpacked packages into one prefix. Apptainer finds its parts relative to its program."""
    usr = root / "usr"
    libraries = usr / "lib/x86_64-linux-gnu"
    libraries.rename(usr / "private")
    libraries.mkdir(parents=True)
    (usr / "private/apptainer").rename(libraries / "apptainer")
    for name in ("etc", "var"):
        (root / name).rename(usr / name)
    # Its starter, one folder deeper than upstream's, takes usr/lib for the prefix.
    for name in ("bin", "etc", "lib", "var"):
        (usr / "lib" / name).symlink_to(f"../{name}")
    # The one folder that it searches for helpers before the user's PATH.
    for program in ("mksquashfs", "unsquashfs", "squashfuse", "squashfuse_ll"):
        (usr / STARTER).with_name(program).symlink_to(f"../../../../bin/{program}")


def _bind_to_private_libraries(home: Path, patchelf: str) -> None:
    private = home / "private"
    loader = private / "ld-linux-x86-64.so.2"
    run_path = [patchelf, "--force-rpath", "--set-rpath", str(private)]
    for program in PROGRAMS:
        subprocess.run([*run_path, "--set-interpreter", str(loader), str(home / program)], check=True)
    names = ("fuse3", "lz4", "lzma", "lzo2", "seccomp", "sqlite3", "squashfuse", "squashfuse_ll", "z", "zstd")
    for name in names:
        library = next(private.glob(f"lib{name}.so.*")).resolve()
        subprocess.run([*run_path, str(library)], check=True)


def _configure(home: Path) -> None:
    """Let root without every capability run containers too."""
    path = home / "etc/apptainer/apptainer.conf"
    text = path.read_text()
    text = re.sub(r"(?m)^root default capabilities = .*$", "root default capabilities = file", text)
    path.write_text(text)


def _link(program: Path) -> None:
    """Put `apptainer` where shells look for programs."""
    folder = Path("/usr/local/bin") if os.geteuid() == 0 else Path.home() / ".local/bin"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "apptainer"
    link.unlink(missing_ok=True)
    link.symlink_to(program)
    if str(folder) not in os.environ.get("PATH", "").split(":"):
        print(f'apptainer: add {folder} to PATH to type its name: export PATH="{folder}:$PATH"')


def _give_root_subordinate_ids() -> None:
    """Root may only use a user namespace with more than one id when /etc/subuid says so."""
    for file in (Path("/etc/subuid"), Path("/etc/subgid")):
        lines = file.read_text().splitlines() if file.exists() else []
        if any(line.split(":")[0] in ("root", "0") for line in lines):
            continue
        taken = [int(a) + int(b) for a, b in (line.split(":")[1:3] for line in lines if line.count(":") == 2)]
        start = max([100000, *taken])
        with file.open("a") as out:
            out.write(f"root:{start}:{SUBORDINATE_IDS}\n")
        print(f"apptainer: gave root {SUBORDINATE_IDS} subordinate ids in {file}, which building images needs here")


def _install_uidmap() -> None:
    """Install the programs that map subordinate ids, which Apptainer calls for --fakeroot."""
    if shutil.which("newuidmap"):
        return
    install = (
        ["apt-get", "install", "-y", "-qq", "uidmap"]
        if shutil.which("apt-get")
        else ["dnf", "install", "-yq", "shadow-utils"]
    )
    if install[0] == "apt-get":
        subprocess.run(["apt-get", "-qq", "update"], check=False, capture_output=True)
    done = subprocess.run(install, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RlsifError(f"newuidmap is missing and `{' '.join(install)}` failed: {done.stderr.strip()[-300:]}")

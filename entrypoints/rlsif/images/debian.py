"""Debian packages without installing them: a private apt, and a root file system from a mirror."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rlsif.errors import RlsifError
from rlsif.images.site import Site

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class PrivateApt:
    """An apt with its own lists and cache, which needs no root and changes nothing of the system's."""

    def __init__(self, folder: Path, mirror: str, suite: str) -> None:
        """Fetch the package lists of one suite. Raises RlsifError where apt or the mirror fails."""
        if not shutil.which("apt-get"):
            raise RlsifError("apt-get is not on this machine; only Debian and its kin can fetch Debian packages")
        self.folder = folder
        for part in ("lists/partial", "cache/archives/partial", "state"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "list.sources").write_text(
            f"Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"
        )
        (folder / "apt.conf").write_text(self._configuration())
        self._run(["apt-get", "-q", "update"], folder)

    def _configuration(self) -> str:
        settings = {
            "Dir::State": "state",
            "Dir::State::Lists": "lists",
            "Dir::Cache": "cache",
            "Dir::Etc::SourceList": "list.sources",
        }
        lines = [f'{name} "{self.folder / value}";' for name, value in settings.items()]
        lines += ['Dir::Etc::SourceParts "-";', 'Dir::State::Status "/dev/null";', 'APT::Sandbox::User "root";']
        # A mirror's copy of unstable may be past the date it was signed for.
        lines.append('Acquire::Check-Valid-Until "false";')
        return "\n".join(lines) + "\n"

    def _run(self, command: list[str], folder: Path) -> None:
        environment = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf")}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "\nE: " in done.stderr:
            raise RlsifError(f"{' '.join(command[:4])} failed: {done.stderr.strip() or done.stdout.strip()}")

    def unpack(self, packages: list[str], root: Path) -> None:
        """Download packages, without what they depend on, and unpack them under a folder."""
        debs = self.folder / "debs"
        shutil.rmtree(debs, ignore_errors=True)
        debs.mkdir()
        self._run(["apt-get", "-q", "download", *packages], debs)
        for deb in sorted(debs.glob("*.deb")):
            self._run(["dpkg-deb", "-x", str(deb), str(root)], debs)


def root_file_system(site: Site, release: str, target: Path, work: Path, packages: Sequence[str] = ()) -> None:
    """Make a minimal Debian with packages from the machine's mirror, as root or not: a folder, or a .tar archive.

    mmdebstrap is the system's, or is unpacked for the occasion.
    Raises RlsifError with the last lines of its log.
    """
    assert site.debian_mirror
    program = shutil.which("mmdebstrap")
    if program is None:
        PrivateApt(work / "apt", site.debian_mirror, release).unpack(["mmdebstrap"], work / "mmdebstrap")
        program = str(work / "mmdebstrap/usr/bin/mmdebstrap")
    mode = "root" if os.geteuid() == 0 else "unshare"
    command = ["perl", program, "--variant=minbase", f"--mode={mode}", "--skip=output/dev", f"--keyring={KEYRING}"]
    command += [f"--include={','.join(packages)}"] if packages else []
    command += [release, str(target), *site.apt_sources(release).splitlines()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RlsifError("mmdebstrap failed: " + " | ".join(done.stderr.strip().splitlines()[-3:]))

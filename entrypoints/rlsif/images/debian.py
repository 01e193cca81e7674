"""Debian packages without installing them: a private apt, and a root file system from a mirror."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rlsif.errors import RlsifError
from rlsif.images import namespaces
from rlsif.images.site import APT_CERTIFICATES, Site

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEVICES = "null zero random urandom"


class PrivateApt:
    """An apt with its own lists and cache, which needs no root and changes nothing of the system's."""

    def __init__(self, folder: Path, site: Site, suite: str) -> None:
        """Fetch the package lists of one suite. Raises RlsifError where apt or the site's mirror fails."""
        if not shutil.which("apt-get"):
            raise RlsifError("apt-get is not on this machine; only Debian and its kin can fetch Debian packages")
        self.folder, self.suite, self.ca_bundle = folder, suite, site.ca_bundle
        for part in ("lists/partial", "cache/archives/partial", "state"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "list.sources").write_text(
            f"Types: deb\nURIs: {site.debian_mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"
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
        if self.ca_bundle:
            lines.append(f'{APT_CERTIFICATES} "{self.ca_bundle}";')
        if self.suite == "unstable":
            # A mirror's copy of it may be past the date it was signed for.
            lines.append('Acquire::Check-Valid-Until "false";')
        return "\n".join(lines) + "\n"

    def _run(self, command: list[str], folder: Path) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf")}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "\nE: " in done.stderr:
            raise RlsifError(f"{' '.join(command[:4])} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def unpack(self, packages: list[str], root: Path) -> None:
        """Download packages, without what they depend on, and unpack them under a folder.

        Raises RlsifError for a package that has not the SHA-256 of the signed list.
        """
        debs = self.folder / "debs"
        shutil.rmtree(debs, ignore_errors=True)
        debs.mkdir()
        # Asked before: of files that are there, apt prints nothing.
        listed = self._run(["apt-get", "-q", "download", "--print-uris", *packages], debs)
        signed = set(re.findall(r"(?m)^'\S+' \S+ \d+ SHA256:([0-9a-f]{64})\s*$", listed))
        self._run(["apt-get", "-q", "download", *packages], debs)
        for deb in sorted(debs.glob("*.deb")):
            if hashlib.sha256(deb.read_bytes()).hexdigest() not in signed:
                raise RlsifError(f"{deb.name} from the mirror is not what the signed list of {self.suite} has")
            self._run(["dpkg-deb", "-x", str(deb), str(root)], debs)


def root_file_system(site: Site, release: str, target: Path, work: Path, packages: Sequence[str] = ()) -> None:
    """Make a minimal Debian with packages from the machine's mirror, as root or not: a folder, or a .tar archive.

    mmdebstrap is the system's, or is unpacked for the occasion.
    Raises RlsifError with the last lines of its log.
    """
    assert site.debian_mirror
    program = shutil.which("mmdebstrap")
    if program is None:
        PrivateApt(work / "apt", site, release).unpack(["mmdebstrap"], work / "mmdebstrap")
        program = str(work / "mmdebstrap/usr/bin/mmdebstrap")
    command = ["perl", program, "--variant=minbase", "--skip=output/dev", f"--keyring={KEYRING}"]
    command += [f"--include={','.join(packages)}"] if packages else []
    command += [f'--aptopt={APT_CERTIFICATES} "{site.ca_bundle}"'] if site.ca_bundle else []
    command += [release, str(target), *site.apt_sources(release).splitlines()]
    # Perl's messages are read below, and nobody's locale is needed for them.
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(_as_root(command), env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RlsifError("mmdebstrap failed: " + " | ".join(done.stderr.strip().splitlines()[-3:]))


def _as_root(mmdebstrap: list[str]) -> list[str]:
    """The command line by which this user can run it: as root, with subordinate ids, or with one id."""
    if os.geteuid() == 0:
        return [*mmdebstrap, "--mode=root"]
    if not namespaces.lacking_for_many_ids():
        return [*mmdebstrap, "--mode=unshare"]
    # With one id no devices can be made and no terminals mounted; scripts of packages want four devices.
    bind = f'cd "$1/dev" && for d in {DEVICES}; do touch $d && mount --bind /dev/$d $d || exit 1; done'
    free = f'cd "$1/dev" && umount {DEVICES} && rm {DEVICES}'
    hooks = [f"--extract-hook={bind}", f"--customize-hook={free}"]
    return namespaces.as_root_of_one_id([*mmdebstrap, "--mode=root", "--skip=chroot/mount/dev", *hooks])

"""What this machine is configured with: mirrors, package index, certificates, proxies."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
APT_CERTIFICATES = "Acquire::https::CAInfo"
# Where a build sees what `stage` made.
INSIDE = Path("/build/site")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Site:
    """The settings of a machine that a build inside a container needs as well."""

    debian_mirror: str | None
    debian_security_mirror: str | None
    pip: dict[str, str] = field(default_factory=dict)
    ca_bundle: Path | None = None
    proxies: dict[str, str] = field(default_factory=dict)

    def shell_environment(self, folder: Path = INSIDE) -> str:
        """Lines of shell that bring the settings into a container, where `folder` is what `stage` made."""
        variables = dict(self.proxies)
        if self.ca_bundle:
            variables.update({name: f"{folder}/ca.pem" for name in CA_VARIABLES})
            # apt looks at none of these, and a slim Debian has no certificates of its own.
            variables["APT_CONFIG"] = f"{folder}/apt.conf"
        if "index-url" in self.pip:
            variables["PIP_INDEX_URL"] = variables["UV_DEFAULT_INDEX"] = self.pip["index-url"]
        if "extra-index-url" in self.pip:
            variables["PIP_EXTRA_INDEX_URL"] = variables["UV_INDEX"] = self.pip["extra-index-url"]
        # A hashed lock is as safe whichever index serves a file.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())

    def stage(self, folder: Path, release: str) -> None:
        """Write environment.sh, ca.pem, apt.conf and sources.list into a folder that becomes INSIDE."""
        folder.mkdir(mode=0o700)
        (folder / "environment.sh").write_text(self.shell_environment())
        if self.ca_bundle:
            shutil.copyfile(self.ca_bundle, folder / "ca.pem")
            (folder / "apt.conf").write_text(f'{APT_CERTIFICATES} "{INSIDE}/ca.pem";\n')
        if self.debian_mirror:
            (folder / "sources.list").write_text(self.apt_sources(release))

    def apt_sources(self, release: str) -> str:
        """The sources.list of a Debian release on this machine's mirror."""
        lines = [f"deb {self.debian_mirror} {release} main", f"deb {self.debian_mirror} {release}-updates main"]
        if self.debian_security_mirror:
            lines.append(f"deb {self.debian_security_mirror} {release}-security main")
        return "\n".join(lines) + "\n"


def this_machine() -> Site:
    """Read the settings of this machine; DEBIAN_MIRROR, PIP_INDEX_URL and SSL_CERT_FILE override."""
    mirror, security = debian_mirrors(_apt_sources_text())
    given = os.environ.get("DEBIAN_MIRROR")
    return Site(
        debian_mirror=given or mirror,
        debian_security_mirror=None if given else security,
        pip=pip_settings(),
        ca_bundle=_ca_bundle(),
        proxies={name: os.environ[name] for name in PROXY_VARIABLES if os.environ.get(name)},
    )


def debian_mirrors(sources: str) -> tuple[str | None, str | None]:
    """The first archive and the first security archive of Debian named in apt's sources."""
    found: list[tuple[str, str]] = []
    for stanza in re.split(r"\n\s*\n", sources):
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.+)$", stanza, flags=re.M))
        if "URIs" in fields and "deb" in fields.get("Types", "").split():
            found.append((fields["URIs"].split()[0], fields.get("Suites", "").split()[0]))
    found += re.findall(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", sources, flags=re.M)
    archives = [uri for uri, _ in found if uri.rstrip("/").endswith("/debian")]
    security = [uri for uri, suite in found if suite.endswith("-security")]
    return (archives[0] if archives else None, security[0] if security else None)


def pip_settings() -> dict[str, str]:
    """The package index that pip uses here: `index-url`, `extra-index-url`, where set."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    settings: dict[str, str] = {}
    for name, value in re.findall(r"^(?:\S+?)\.([a-z-]+)='(.*)'$", listing, flags=re.M):
        # A folder of this machine cannot be seen from inside a build.
        reachable = " ".join(v for v in value.replace("\\n", " ").split() if not v.startswith(("file:", "/")))
        if name in ("index-url", "extra-index-url") and reachable:
            settings[name] = reachable
    return settings


def _apt_sources_text() -> str:
    etc = Path("/etc/apt")
    files = [
        etc / "sources.list",
        *sorted(etc.glob("sources.list.d/*.sources")),
        *sorted(etc.glob("sources.list.d/*.list")),
    ]
    return "\n\n".join(f.read_text() for f in files if f.is_file())


def _ca_bundle() -> Path | None:
    given = [os.environ[name] for name in CA_VARIABLES if os.environ.get(name)]
    return next((Path(p) for p in [*given, *CA_BUNDLES] if Path(p).is_file()), None)

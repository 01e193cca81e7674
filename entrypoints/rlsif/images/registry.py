"""Ask a Docker registry which image a name stands for today, so that this very image is pulled and written down.

The protocol: https://distribution.github.io/distribution/spec/api/ and, for tokens,
https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import json
import os
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from rlsif.errors import InputError
from rlsif.images.reach import Unreachable, ask

SCHEME = "docker://"
# What a name without a host is short for, and what that registry is called in files of logins.
HUB, HUB_LOGIN = "index.docker.io", "https://index.docker.io/v1/"
OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution"
KINDS = f"{OCI}.index.v1+json, {DOCKER}.manifest.list.v2+json, {OCI}.manifest.v1+json, {DOCKER}.manifest.v2+json"
LOGINS = (".apptainer/docker-config.json", ".singularity/docker-config.json", ".docker/config.json")
UNAUTHORIZED = 401


@dataclass(frozen=True)
class Reference:
    """An image of a registry: its name with the host that was given, its tag, and its digest where that is known."""

    name: str
    tag: str
    digest: str | None = None

    @property
    def host(self) -> str:
        """The registry that has it."""
        return self._parts[0]

    @property
    def repository(self) -> str:
        """What the registry calls it."""
        return self._parts[1]

    @property
    def _parts(self) -> tuple[str, str]:
        first, _, rest = self.name.partition("/")
        if rest and (re.search("[.:]", first) or first == "localhost"):
            return (HUB, rest) if first == "docker.io" else (first, rest)
        return HUB, self.name if rest else f"library/{self.name}"

    @property
    def address(self) -> str:
        """What Apptainer pulls it by: the digest where it is known. It takes no tag beside that."""
        return f"{SCHEME}{self.name}@{self.digest}" if self.digest else f"{SCHEME}{self.name}:{self.tag}"

    def __str__(self) -> str:
        """The address, with the tag for people."""
        return f"{SCHEME}{self.name}:{self.tag}" + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """The image named by docker://[HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST]. Raises InputError."""
    form = r"docker://((?:[\w.-]+(?::\d+)?/)?[a-z0-9][\w./-]*?)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?"
    found = re.fullmatch(form, text)
    if not found:
        raise InputError(
            f"{text!r} is no image of a registry, as docker://debian:bookworm-slim or docker://host/name@sha256:..."
        )
    return Reference(found[1], found[2] or "latest", found[3])


def pinned(image: Reference, ca_bundle: Path | None, plain: bool = False) -> Reference:
    """The image with the digest that the registry has for its tag today; `plain` asks by HTTP. Raises Unreachable."""
    scheme = "http" if plain else "https"
    address = f"{scheme}://{image.host}/v2/{image.repository}/manifests/{image.digest or image.tag}"
    login = _login(image.host)
    try:
        headers, _ = ask(address, ca_bundle, {"Accept": KINDS}, "HEAD")
    except Unreachable as problem:
        if problem.status != UNAUTHORIZED:
            raise
        permit = _permit(problem.headers.get("WWW-Authenticate", ""), login, ca_bundle)
        headers, _ = ask(address, ca_bundle, {"Accept": KINDS, "Authorization": permit}, "HEAD")
    digest = headers.get("Docker-Content-Digest")
    if not digest:
        raise Unreachable(image.host, f"gives no digest of {image.repository}:{image.tag}")
    return Reference(image.name, image.tag, digest)


def _permit(challenge: str, login: str | None, ca_bundle: Path | None) -> str:
    """What to send as Authorization: the user's login, or a token that the registry's service gives for it."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    basic = f"Basic {login}" if login else ""
    if not challenge.lower().startswith("bearer") or "realm" not in fields:
        return basic
    query = urllib.parse.urlencode({name: fields[name] for name in ("service", "scope") if name in fields})
    _, content = ask(f"{fields['realm']}?{query}", ca_bundle, {"Authorization": basic} if basic else {})
    try:
        answer = json.loads(content)
        return f"Bearer {answer.get('token') or answer['access_token']}"
    except (ValueError, KeyError):
        raise Unreachable(str(urllib.parse.urlsplit(fields["realm"]).hostname), "gives no token") from None


def _login(host: str) -> str | None:
    """The user's name and password for a registry, as Apptainer finds them, in Base64."""
    name, password = (os.environ.get(f"APPTAINER_DOCKER_{part}") for part in ("USERNAME", "PASSWORD"))
    if name and password:
        return base64.b64encode(f"{name}:{password}".encode()).decode()
    for file in (Path.home() / login for login in LOGINS):
        try:
            logins = json.loads(file.read_text())["auths"]
        except (OSError, ValueError, KeyError):
            continue
        found = logins.get(host) or (logins.get(HUB_LOGIN) if host == HUB else None)
        if found and found.get("auth"):
            return str(found["auth"])
    return None

"""A small internet for tests: a Docker registry, a conda channel, and a proxy with certificates of its own before them.

The registry is Debian's docker-registry, filled by Debian's skopeo. The proxy takes the place of a site's: it ends TLS
with a certificate that only its own authority vouches for, knows hosts that no name server knows, and can be told to
answer as a registry that limits, wants a token, stalls or is broken.
"""

import contextlib
import fcntl
import gzip
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rlsif.images import site
from rlsif.images.build import cache_folder
from rlsif.images.debian import PrivateApt

PACKAGES = ["docker-registry", "skopeo", "libgpgme11", "libassuan0", "libgpg-error0", "libdevmapper1.02.1"]
# The release of the programs, whose libraries a Debian of this or a later age has.
SUITE = "bookworm"
SECONDS = 60
REGISTRY, CHANNEL, MIRROR = "registry.test", "conda.test", "debian.test"
TOKEN = "a-token-of-the-test"
RETURNED = ("Content-Type", "Content-Range", "Docker-Content-Digest", "Last-Modified")
SETTINGS = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: '{store}'}}}}
http: {{addr: '{address}'}}
"""


def programs():
    """The folder with docker-registry and skopeo, unpacked once and kept by the digest of what is asked for."""
    digest = hashlib.sha256(repr((SUITE, PACKAGES)).encode()).hexdigest()[:16]
    done = cache_folder("registry") / f"programs-{digest}"
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            with tempfile.TemporaryDirectory(dir=done.parent) as work:
                root = Path(work) / "root"
                PrivateApt(Path(work) / "apt", site.this_machine(), SUITE).unpack(PACKAGES, root)
                root.rename(done)
    return done


def default_registry(apptainer, folder):
    """The host that Apptainer asks for an image that is named without one: it says so where it cannot reach it."""
    environment = {**os.environ, "https_proxy": f"http://127.0.0.1:{free_port()}"}
    command = [apptainer, "build", folder / "none.sif", "docker://debian"]
    said = subprocess.run(command, env=environment, check=False, capture_output=True, text=True).stderr
    return re.search("https://([^/]+)/v2/", said)[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def registry(folder):
    """Run a registry that keeps its images in a folder; give its address."""
    root, address = programs(), f"127.0.0.1:{free_port()}"
    settings = folder / "registry.yml"
    settings.write_text(SETTINGS.format(store=folder / "store", address=address))
    log = (folder / "registry.log").open("w")
    process = subprocess.Popen([root / "usr/bin/docker-registry", "serve", settings], stdout=log, stderr=log)
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.kill()
        process.wait()


def _wait_for(address, process):
    host, port = address.split(":")
    for _ in range(SECONDS * 20):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=SECONDS):
            return
        assert process.poll() is None, "the registry ended"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    raise AssertionError("the registry did not start")


def push(archive, address, name, tag, folder):
    """Push a .tar of a root file system as an image; give its digest."""
    layout = folder / "layout"
    digest = _write_layout(archive, layout, tag)
    root = programs()
    environment = {**os.environ, "LD_LIBRARY_PATH": str(root / "usr/lib/x86_64-linux-gnu"), "TMPDIR": str(folder)}
    command = [root / "usr/bin/skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"oci:{layout}:{tag}"]
    subprocess.run([*command, f"docker://{address}/{name}:{tag}"], env=environment, check=True, capture_output=True)
    shutil.rmtree(layout)
    return digest


def _write_layout(archive, layout, tag):
    """An image of one layer on disk: https://github.com/opencontainers/image-spec/blob/main/image-layout.md."""
    blobs, kind = layout / "blobs/sha256", "application/vnd.oci.image"
    blobs.mkdir(parents=True)

    def blob(suffix, content):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": f"{kind}.{suffix}", "digest": f"sha256:{digest}", "size": len(content)}

    content = archive.read_bytes()
    layers = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]}
    config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["bash"]}, "rootfs": layers}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": blob("config.v1+json", json.dumps(config).encode()),
        "layers": [blob("layer.v1.tar+gzip", gzip.compress(content, 1, mtime=0))],
    }
    entry = blob("manifest.v1+json", json.dumps(manifest).encode())
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return entry["digest"]


@dataclass
class Proxy:
    """A site's proxy: its address, the bundle that vouches for it, and how it answers just now."""

    bundle: Path
    context: ssl.SSLContext
    backends: dict[str, object]
    address: str = ""
    # open, limits, token, stalls or broken.
    mood: str = "open"
    asked: list[str] = field(default_factory=list)
    # Ends what stalls.
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def variables(self):
        """What a user of the site has in their environment."""
        return {"https_proxy": f"http://{self.address}", "SSL_CERT_FILE": str(self.bundle)}


def certificates(folder, hosts):
    """Make an authority and its certificate for the hosts; give a bundle with the authority, and a server's context."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    own, its = folder / "authority", folder / "server"
    authority = ["-subj", "/CN=a test's own authority", "-keyout", f"{own}.key", "-out", f"{own}.pem"]
    names = "subjectAltName=" + ",".join(f"DNS:{name}" for name in hosts)
    server = ["-subj", f"/CN={REGISTRY}", "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"]
    signed = ["-CA", f"{own}.pem", "-CAkey", f"{own}.key", "-keyout", f"{its}.key", "-out", f"{its}.pem"]
    for more in (authority, [*server, *signed]):
        subprocess.run([*new, *more], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{its}.pem", f"{its}.key")
    bundle = folder / "bundle.pem"
    system = next((Path(p).read_text() for p in site.CA_BUNDLES if Path(p).is_file()), "")
    bundle.write_text(Path(f"{own}.pem").read_text() + system)
    return bundle, context


@contextlib.contextmanager
def proxy(folder, backends):
    """Run a proxy to backends: by host, the address of a server or a folder to serve."""
    told = Proxy(*certificates(folder, backends), backends)

    class Handler(_Handler):
        proxy = told

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.address = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield told
    finally:
        told.over.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        """Take the place of the server that is asked for, as a proxy does that looks into everything."""
        if self.path.partition(":")[0] not in self.proxy.backends:
            self._tunnel()
            return
        self.send_response(200)
        self.end_headers()
        try:
            self.connection = self.proxy.context.wrap_socket(self.connection, server_side=True)
        except OSError:
            # Who does not know the authority goes away.
            self.close_connection = True
            return
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.close_connection = False

    def _tunnel(self):
        """Pass on what goes to a host of the world."""
        host, _, port = self.path.partition(":")
        self.close_connection = True
        try:
            there = socket.create_connection((host, int(port)), timeout=SECONDS)
        except OSError as problem:
            self.send_error(502, str(problem))
            return
        with there:
            self.send_response(200)
            self.end_headers()
            pump = threading.Thread(target=_pass_on, args=(there, self.connection), daemon=True)
            pump.start()
            _pass_on(self.connection, there)
            pump.join()

    def do_GET(self):
        host = self.headers.get("Host", "").partition(":")[0]
        self.proxy.asked.append(f"{self.command} {host}{self.path}")
        if self._spoiled(host):
            return
        backend = self.proxy.backends[host]
        self._serve(backend) if isinstance(backend, Path) else self._forward(backend)

    do_HEAD = do_GET

    def _spoiled(self, host):
        """Answer in the proxy's mood, where that is not to pass on what the server says."""
        # Debian's mirror is always well.
        mood = "open" if host == MIRROR else self.proxy.mood
        if mood == "limits":
            self._answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}', {"Retry-After": "1"})
        elif mood == "broken":
            self._answer(503, b"")
        elif mood == "token" and self.path.startswith("/token"):
            self._answer(200, json.dumps({"token": TOKEN}).encode())
        elif mood == "token" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            realm = f'Bearer realm="https://{host}/token",service="{host}",scope="repository:debian:pull"'
            self._answer(401, b"", {"WWW-Authenticate": realm})
        elif mood == "stalls" and "/blobs/" in self.path:
            self.proxy.over.wait(SECONDS)
            self.close_connection = True
        else:
            return False
        return True

    def _serve(self, folder):
        file = folder / self.path.lstrip("/")
        self._answer(200, file.read_bytes()) if file.is_file() else self._answer(404, b"")

    def _forward(self, address):
        server = http.client.HTTPConnection(address, timeout=SECONDS)
        passed = ("Accept", "Range", "If-Range", "If-Modified-Since")
        headers = {name: value for name, value in self.headers.items() if name in passed}
        server.request(self.command, self.path, headers=headers)
        answer = server.getresponse()
        kept = {n: v for n, v in answer.getheaders() if n in RETURNED}
        length = int(answer.getheader("Content-Length", 0))
        self._answer(answer.status, answer.read(), kept, length)
        server.close()

    def _answer(self, status, content, headers=None, length=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _pass_on(here, there):
    """Give what one side says to the other, until it has said all."""
    with contextlib.suppress(OSError):
        while content := here.recv(65536):
            there.sendall(content)
        there.shutdown(socket.SHUT_WR)

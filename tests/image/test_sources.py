"""Where a base comes from, on a site with a proxy and certificates of its own, for a user without any privilege."""

import io
import os
import re
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rlsif.errors import RlsifError
from rlsif.images import sources
from rlsif.images.apptainer import build_options
from rlsif.images.site import this_machine
from tests import network
from tests.users import ordinary_user

MAKE_A_BASE = """
from pathlib import Path
from rlsif.images import apptainer, sif, site, sources
images = sif.Images(apptainer.find().program)
print(sources.base(images, site.this_machine(), Path.cwd(), apptainer.build_options(images.runtime)))
"""
# In the shape of containers/rl.def, without Python and its packages: a folder goes from one stage to the other, and a
# package of Debian's is installed by the script of the real one.
SMALL = """
Bootstrap: localimage
From: base.sif
Stage: build

%files
    staging /build

%post
    mkdir /opt/rl
    chown 4321:4321 /opt/rl
    id -u >/opt/rl/told

Bootstrap: localimage
From: base.sif
Stage: final

%files from build
    /opt/rl /opt/rl
    /build /build

%post
    bash -euc ". /build/debian.sh; debian::install netbase; debian::clean"
    rm -rf /build
"""
MAKE_AN_IMAGE = """
from pathlib import Path
from rlsif.images import apptainer, sif, site, sources
images = sif.Images(apptainer.find().program)
site.this_machine().stage(Path("staging/site"), sources.RELEASE)
images.build(Path("small.def"), Path("small.sif"), apptainer.build_options(images.runtime), compression=1)
"""
CHECKOUT = Path(__file__).parents[2]
NAME, TAG = "debian", "bookworm-slim"


@pytest.fixture(scope="module")
def places(tmp_path_factory, apptainer):
    """A registry with a small image, behind a site's proxy: the registry's own address, the digest, the proxy."""
    folder = tmp_path_factory.mktemp("site")
    with network.registry(folder) as address:
        content = b"a small image\n"
        with tarfile.open(folder / "small.tar", "w") as tar:
            member = tarfile.TarInfo("told")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        digest = network.push(folder / "small.tar", address, f"library/{NAME}", TAG, folder)
        network.push(folder / "small.tar", address, NAME, TAG, folder)
        mirror = urlsplit(this_machine().debian_mirror).netloc
        hosts = (network.REGISTRY, network.default_registry(apptainer, folder))
        backends = {**dict.fromkeys(hosts, address), network.MIRROR: mirror, network.CHANNEL: folder}
        with network.proxy(folder, backends) as proxy:
            yield address, digest, proxy


@pytest.fixture
def base(places, images, tmp_path, monkeypatch):
    """Make a base in this process, with the site's variables and those of the test."""
    _, _, proxy = places
    proxy.mood = "open"
    proxy.asked.clear()

    def run(**variables):
        for name, value in {**proxy.variables, **variables}.items():
            monkeypatch.setenv(name, value)
        return sources.base(images, this_machine(), tmp_path, build_options(images.runtime))

    return run


@pytest.fixture(scope="module")
def user(places):
    """A user of the site; others may read its certificates."""
    _, _, proxy = places
    with ordinary_user() as someone:
        bundle = someone.home / "bundle.pem"
        bundle.write_bytes(proxy.bundle.read_bytes())
        bundle.chmod(0o644)
        yield someone, {**proxy.variables, "SSL_CERT_FILE": bundle}


@pytest.fixture(scope="module")
def made(places, user):
    """What a user without subordinate ids gets where the registry limits its pulls: a base made of packages."""
    _, _, proxy = places
    someone, variables = user
    proxy.mood = "limits"
    path = urlsplit(this_machine().debian_mirror).path
    done = someone(MAKE_A_BASE, DEBIAN_MIRROR=f"https://{network.MIRROR}{path}", **variables)
    assert done.returncode == 0, done.stderr
    # Debian's mirror is behind the same proxy.
    assert any(path.startswith(f"GET {network.MIRROR}/") for path in proxy.asked)
    return done, someone.home / "base.sif", someone.home / "rootfs.tar"


@pytest.mark.long
@pytest.mark.fault(
    "the Docker registry limits pulls, and the user has no subordinate ids",
    promise="the base is made from the Debian mirror, and the line of the build says why",
)
def test_a_user_without_subordinate_ids_gets_a_base_from_the_mirror(made, apptainer):
    """Over a minute beside others: mmdebstrap makes a Debian."""
    done, image, archive = made
    why = "the Docker registry limits pulls for now (429); RL_BASE=docker://HOST/NAME for another"
    assert f"base from the machine's Debian mirror ({why})" in done.stdout.splitlines()
    with tarfile.open(archive) as tar:
        owners = {(member.uid, member.gid) for member in tar}
    assert owners == {(0, 0)}
    script = "dpkg-query --show --showformat '${db:Status-Abbrev}\\n' | sort -u; ls -d /etc/shadow /dev/null"
    said = subprocess.run([apptainer, "exec", image, "sh", "-c", script], check=True, capture_output=True, text=True)
    assert said.stdout == "ii \n/dev/null\n/etc/shadow\n"


@pytest.mark.long
@pytest.mark.fault(
    "a user without root and without subordinate ids builds an image",
    promise="both stages are built, with packages of Debian's, and the image runs",
)
def test_a_user_without_subordinate_ids_builds_on_the_base(made, places, user, apptainer):
    """Not a whole image, which takes eight minutes of two cores: its definition's shape, on the base of a whole one."""
    _, _, proxy = places
    someone, variables = user
    proxy.mood = "open"
    path = urlsplit(this_machine().debian_mirror).path
    someone.keep("small.def", SMALL)
    someone.keep("staging/debian.sh", (CHECKOUT / "containers/build/debian.sh").read_text())
    done = someone(MAKE_AN_IMAGE, DEBIAN_MIRROR=f"https://{network.MIRROR}{path}", **variables)
    assert done.returncode == 0, done.stderr
    told = [apptainer, "exec", someone.home / "small.sif", "cat", "/opt/rl/told", "/etc/protocols"]
    said = subprocess.run(told, check=True, capture_output=True, text=True).stdout
    assert said.startswith("0\n") and "Internet" in said


@pytest.mark.long
def test_a_user_without_subordinate_ids_pulls_the_base_by_its_digest(made, places, user, tmp_path, apptainer):
    """From a registry that wants a token, through a proxy that only the site's own authority vouches for.

    Over a minute beside others: it pulls, and builds from, the Debian that mmdebstrap makes for `made`.
    """
    address, _, proxy = places
    someone, variables = user
    digest = network.push(made[2], address, f"library/{NAME}", TAG, tmp_path)
    proxy.mood = "token"
    proxy.asked.clear()
    (someone.home / "base.sif").unlink()
    done = someone(MAKE_A_BASE, **variables)
    line = f"base docker://{NAME}@{digest} (RL_BASE=mirror for the Debian mirror)"
    assert line in done.stdout.splitlines(), done.stderr
    told = [apptainer, "exec", someone.home / "base.sif", "cat", "/etc/debian_version"]
    assert subprocess.run(told, check=True, capture_output=True, text=True).stdout.startswith("12.")


def test_a_registry_of_the_sites_own_by_http_and_by_digest(places, base, tmp_path, monkeypatch):
    address, digest, proxy = places
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    image = f"docker://{address}/{NAME}@{digest}"
    assert base(RL_BASE=image, APPTAINER_NOHTTPS="1").told == f"base {image}"
    assert proxy.asked == [] and (tmp_path / "base.sif").is_file()
    # By the tag it is the same image, and the label says which.
    assert base(RL_BASE=f"docker://{address}/{NAME}:{TAG}", APPTAINER_NOHTTPS="1").told == f"base {image}"


@pytest.mark.fault(
    "a Docker registry limits, refuses, stalls, is broken, unknown, or not to be trusted",
    promise="one sentence says so; unless the registry was asked for by RL_BASE, the Debian mirror is taken",
)
@pytest.mark.parametrize(
    ("mood", "variables", "why"),
    [
        ("limits", {}, r"the Docker registry limits pulls for now \(429\)"),
        ("broken", {}, r"building base\.sif failed .* 503 Service Unavailable; see .*"),
        ("stalls", {}, r"docker://registry\.test/debian:bookworm-slim was not there after 1 s"),
        (
            "open",
            {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"},
            "the Docker registry has a cert.*",
        ),
        ("open", {"RL_BASE": "docker://nowhere.test/debian"}, ".*nowhere.*|.* has a name that is not known here"),
        ("open", {"RL_BASE": "docker://registry.test/debian:13"}, "the Docker registry has no such image"),
        ("open", {"https_proxy": "http://127.0.0.1:1"}, "the Docker registry cannot be reached through the proxy"),
    ],
)
def test_why_a_registry_did_not_serve_is_told(base, places, monkeypatch, mood, variables, why):
    places[2].mood = mood
    monkeypatch.setattr(sources, "SECONDS_TO_PULL", 1)
    with pytest.raises(
        RlsifError, match=rf"^no base from docker://\S*: ({why}); RL_BASE=mirror takes the Debian mirror$"
    ):
        base(**{"RL_BASE": f"docker://{network.REGISTRY}/{NAME}:{TAG}", **variables})


def test_a_registry_that_refuses_or_says_nothing_is_told(base, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(sources, "SECONDS_TO_PULL", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        image = f"docker://127.0.0.1:{silent.getsockname()[1]}/debian"
        with pytest.raises(RlsifError, match=rf"no base from {image}: {image} was not there after 1 s"):
            base(RL_BASE=image)
    monkeypatch.setattr(sources, "SECONDS_TO_PULL", 60)
    with pytest.raises(RlsifError, match=rf"no base from {image}: the Docker registry refuses the connection"):
        base(RL_BASE=image)


@pytest.mark.parametrize("given", ["ubuntu", "docker://", "docker://debian@sha256:12", "docker://a b"])
def test_what_the_base_is_forced_to_is_checked(base, given):
    with pytest.raises(RlsifError, match=f"RL_BASE is '{given}'; it can be registry, mirror or docker://HOST/NAME:TAG"):
        base(RL_BASE=given)


@pytest.mark.parametrize(
    ("mood", "why"),
    [("limits", "limits its downloads for now"), ("broken", "answers 503"), ("open", None)],
)
def test_a_conda_channel_is_asked_before_it_is_used(places, base, tmp_path, monkeypatch, mood, why):
    channel = tmp_path / "channel"
    (channel / "noarch").mkdir(parents=True)
    (channel / "noarch/repodata.json").write_text("{}")
    proxy = places[2]
    monkeypatch.setitem(proxy.backends, network.CHANNEL, tmp_path)
    proxy.mood = mood
    address = f"https://{network.CHANNEL}/channel"
    for name, value in {**proxy.variables, "CONDA_CHANNEL": address}.items():
        monkeypatch.setenv(name, value)
    if why is None:
        assert sources.channel(this_machine(), tmp_path).told == f"conda packages from {address}"
    else:
        with pytest.raises(RlsifError, match=rf"^the conda channel {address}: conda\.test {why}"):
            sources.channel(this_machine(), tmp_path)
    # What nobody asked for by name is left for another, and the line of the build says why.
    if mood == "limits":
        monkeypatch.delenv("CONDA_CHANNEL")
        monkeypatch.setattr(sources, "CONDA_FORGE", address)
        monkeypatch.setattr(sources, "movable_python", lambda: None)
        Path(tmp_path / "packages").rmdir()
        choice = sources.channel(this_machine(), tmp_path)
        assert choice.value == "local" and "conda.test limits its downloads for now (429)" in choice.advice


@pytest.mark.fault(
    "a conda channel limits its downloads, stalls or cannot be trusted",
    promise="the build ends with a sentence that names the channel",
)
@pytest.mark.parametrize(
    ("mood", "variables", "why"),
    [
        ("limits", {}, r"HTTP status client error \(429 Too Many Requests\).*"),
        ("stalls", {}, r"did not serve its packages within 1 s"),
        ("open", {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}, "error sending request .*UnknownIssuer"),
    ],
)
def test_a_channel_that_does_not_serve_ends_the_build_in_a_sentence(places, monkeypatch, mood, variables, why):
    """The way of a build: by py-rattler inside of the image."""
    proxy = places[2]
    proxy.mood = mood
    # Nothing is there but what stalls.
    monkeypatch.setitem(proxy.backends, network.CHANNEL, Path("/nonexistent/blobs"))
    channel = f"https://{network.CHANNEL}/blobs/"
    code = f"import conda_channels, rattler; conda_channels.SECONDS = 1; channels = [{channel!r}]; "
    code += "conda_channels.run(rattler.solve(channels, ['python']), channels)"
    environment = {**os.environ, **proxy.variables, **variables, "PYTHONPATH": str(CHECKOUT / "containers/build")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and re.fullmatch(rf"error: .*{re.escape(channel)}.* ?{why}\n", done.stderr), done.stderr

"""The host side of building images."""

import hashlib
import re
import sys
from pathlib import Path

import pytest

from rlsif.errors import InputError, RlsifError
from rlsif.images import apptainer, build, debian, site
from rlsif.images.build import INPUTS_LABEL, Request
from rlsif.images.sif import ImageError

CHECKOUT = Path(__file__).parents[2]
REQUIREMENTS = CHECKOUT / "containers/requirements"
sys.path.insert(0, str(CHECKOUT / "containers/build"))

MODERN = """Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """deb [signed-by=/k.gpg] https://other.example/apt stable main
deb http://mirror.example/debian trixie main contrib
deb-src http://source.example/debian trixie main
"""


def versions(lock):
    return dict(re.findall(r"(?m)^([a-z0-9-]+)(?:\[[^\]]*\])?==(\S+)", (REQUIREMENTS / lock).read_text()))


def test_the_mirror_is_the_machines_own():
    assert site.debian_mirrors(MODERN) == ("http://mirror.example/debian", "http://mirror.example/debian-security")
    assert site.debian_mirrors(ONE_LINE) == ("http://mirror.example/debian", None)
    assert site.debian_mirrors("") == (None, None)


def test_both_images_have_the_same_versions():
    cpu, gpu = versions("cpu.lock"), versions("gpu.lock")
    shared = cpu.keys() & gpu.keys()
    assert len(shared) > 60
    assert {n: cpu[n] for n in shared} == {n: gpu[n] for n in shared}
    assert cpu["tensorflow-cpu"] == gpu["tensorflow"]


def test_the_cpu_image_has_one_tensorflow_and_the_gpu_image_cuda():
    assert "tensorflow" not in versions("cpu.lock")
    assert {n for n in versions("gpu.lock") if n.startswith("nvidia-")} >= {"nvidia-cudnn-cu12", "nvidia-cublas-cu12"}


def test_keras_matches_tensorflow():
    cpu = versions("cpu.lock")
    assert cpu["tf-keras"].split(".")[:2] == cpu["tensorflow-cpu"].split(".")[:2]


@pytest.mark.parametrize("lock", sorted(p.relative_to(REQUIREMENTS).as_posix() for p in REQUIREMENTS.rglob("*.lock")))
def test_every_package_has_a_hash_and_no_index_is_named(lock):
    text = (REQUIREMENTS / lock).read_text()
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", text)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


def test_the_digest_is_that_of_the_inputs(tmp_path):
    def checkout(name, text):
        root = tmp_path / name
        (root / "containers/requirements/extras").mkdir(parents=True)
        for lock in ("cpu", "gpu"):
            (root / f"containers/requirements/{lock}.lock").write_text("ray==2.60.0 \\\n")
        (root / "entrypoints").mkdir()
        (root / "pyproject.toml").write_text("")
        (root / "entrypoints/a.py").write_text(text)
        return root

    one, same, other = checkout("one", "1"), checkout("same", "1"), checkout("other", "2")
    assert Request(one, "cpu").digest() == Request(same, "cpu").digest()
    assert Request(one, "cpu").digest() != Request(other, "cpu").digest()
    assert Request(one, "cpu").digest() != Request(one, "gpu").digest()


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_the_definition_is_given_every_argument_that_it_uses(variant):
    used = set(re.findall(r"\{\{ (\w+) \}\}", (CHECKOUT / "containers/rl.def").read_text()))
    given = re.findall(r"^(\w+)=", (CHECKOUT / f"containers/{variant}.args").read_text(), flags=re.M)
    assert used == {*given, "BASE", "STAGING", "SEAL"}


def test_an_unknown_extra_is_refused():
    with pytest.raises(
        InputError, match="EXTRAS has .jupiter.; known are atari, box2d, dm_control, envpool, gym, minigrid"
    ):
        Request(CHECKOUT, "cpu", extras=("jupiter",))


def test_a_tensorflow_that_is_no_wheel_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a wheel file"):
        Request(CHECKOUT, "gpu", tensorflow=tmp_path / "none.whl")


def test_a_given_wheel_takes_the_locked_package_out(tmp_path):
    from lock_without import replaced, without

    (tmp_path / "tensorflow-2.21.0+site-cp311-cp311-linux_x86_64.whl").touch()
    names = replaced(tmp_path)
    lock = without((REQUIREMENTS / "cpu.lock").read_text(), names)
    assert "tensorflow-cpu==" not in lock
    assert "tf-keras==" in lock
    assert "ray==2.60.0" in lock
    assert lock.count("--hash") == (REQUIREMENTS / "cpu.lock").read_text().count("--hash") - _hashes_of(
        "tensorflow-cpu"
    )


def _hashes_of(name):
    entry = re.search(rf"(?m)^{name}==[^\n]*\n(?:    [^\n]*\n)*", (REQUIREMENTS / "cpu.lock").read_text())
    return entry.group(0).count("--hash")


def test_root_without_sys_resource_is_told_apart():
    assert apptainer.has_sys_resource("CapEff:\t000001ffffffffff\n")
    assert not apptainer.has_sys_resource("CapEff:\t000001fffeffffff\n")


def test_a_site_reaches_the_container_as_shell(tmp_path):
    bundle = tmp_path / "ca.crt"
    bundle.write_text("certificates")
    here = site.Site(
        "http://m.example/debian",
        None,
        {"index-url": "http://i.example/simple"},
        bundle,
        {"https_proxy": "http://u:p'w@proxy"},
    )
    here.stage(tmp_path / "site", "bookworm")
    environment = (tmp_path / "site/environment.sh").read_text()
    assert "export UV_DEFAULT_INDEX=http://i.example/simple" in environment
    assert "export SSL_CERT_FILE=/build/site/ca.pem" in environment
    assert """export https_proxy='http://u:p'"'"'w@proxy'""" in environment
    assert (tmp_path / "site/sources.list").read_text().startswith("deb http://m.example/debian bookworm main")
    assert (tmp_path / "site/ca.pem").read_text() == "certificates"
    assert "export APT_CONFIG=/build/site/apt.conf" in environment
    assert (tmp_path / "site/apt.conf").read_text() == 'Acquire::https::CAInfo "/build/site/ca.pem";\n'


@pytest.mark.fault("a Debian package differs from the signed list", promise="it is refused")
def test_a_debian_package_that_is_not_of_the_signed_list_is_refused(tmp_path, monkeypatch):
    """apt says the hashes that were signed; a mirror that serves another file is found out."""

    def run(self, command, folder):
        if "--print-uris" in command:
            return f"'http://m.example/a.deb' a.deb 3 SHA256:{hashlib.sha256(b'the real one').hexdigest()}\n"
        if "download" in command:
            (folder / "a.deb").write_bytes(self.served)
        return ""

    monkeypatch.setattr(debian.PrivateApt, "_run", run)
    apt = debian.PrivateApt(tmp_path, site.Site("http://m.example/debian", None), "unstable")
    apt.served = b"the real one"
    apt.unpack(["a"], tmp_path / "root")
    apt.served = b"another"
    with pytest.raises(RlsifError, match=r"a\.deb from the mirror is not what the signed list of unstable has"):
        apt.unpack(["a"], tmp_path / "root")


@pytest.mark.fault(
    "the list of a Debian mirror is past its date",
    promise="it is refused, except that of the unstable suite",
)
def test_only_unstable_may_be_past_its_date(tmp_path, monkeypatch):
    monkeypatch.setattr(debian.PrivateApt, "_run", lambda *_: "")
    for suite, expected in (("bookworm", False), ("unstable", True)):
        debian.PrivateApt(tmp_path / suite, site.Site("http://m.example/debian", None), suite)
        assert ("Check-Valid-Until" in (tmp_path / suite / "apt.conf").read_text()) == expected


@pytest.mark.fault(
    "an image in the cache was cut short, or is another than its name says",
    promise="it is not taken: its label decides, and it is built anew",
)
@pytest.mark.parametrize("there", ["nothing", "cut short", "another", "the one"])
def test_an_image_in_the_cache_is_taken_by_its_label(tmp_path, monkeypatch, there):
    class Images:
        def labels(self, image):
            if "cut" in image.read_text():
                raise ImageError("it cannot be read")
            return {INPUTS_LABEL: image.read_text()}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    request = Request(CHECKOUT, "cpu")
    digest = request.base_digest()
    kept = build._cached("cpu", digest)
    text = {"nothing": None, "cut short": "cut", "another": "0" * 64, "the one": digest}[there]
    if text:
        kept.write_text(text)
    monkeypatch.setattr(build, "_build", lambda _, digest, images, site, target: target.write_text(digest) and "told")
    found, told = build._kept_base(request, Images(), None)
    assert found == kept and kept.read_text() == digest
    assert told.startswith("taken from" if there == "the one" else "built in")

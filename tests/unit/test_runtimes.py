"""Apptainer and SingularityCE, in the versions that clusters have: taken, or refused by name; and who may build."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlsif.errors import RlsifError
from rlsif.images import apptainer, namespaces, site
from rlsif.images.build import Request, rendered
from rlsif.images.runtime import told_by
from rlsif.images.sif import Images

CHECKOUT = Path(__file__).parents[2]
# What each says to `--version`, as its source and its packages have it.
TAKEN = [
    ("apptainer version 1.1.9-1.el8", "Apptainer", (1, 1), False, True),
    ("apptainer version 1.3.6", "Apptainer", (1, 3), False, True),
    ("apptainer version 1.4.5", "Apptainer", (1, 4), True, True),
    ("apptainer version 1.5.0-rc.2", "Apptainer", (1, 5), True, True),
    ("singularity-ce version 4.0.0", "SingularityCE", (4, 0), False, False),
    ("singularity-ce version 4.1.5-jammy", "SingularityCE", (4, 1), False, False),
    ("singularity-pro version 4.1.3-1.el9", "SingularityCE", (4, 1), False, False),
]
REFUSED = [
    ("apptainer version 1.0.3", "Apptainer 1.0.3"),
    ("singularity-ce version 3.11.5", "SingularityCE 3.11.5"),
    ("singularity version 3.8.7-1.el8", "Singularity 3.8.7-1.el8"),
    ("2.6.1-dist", "Singularity 2.6.1-dist"),
]
# The flags of `build` in Apptainer 1.1.9 and SingularityCE 4.1.5 that are used here: cmd/internal/cli/build.go of each.
FLAGS_OF_OLD_ONES = {"--force", "--fakeroot"}


@pytest.mark.parametrize(("said", "name", "version", "packs", "one_id"), TAKEN)
def test_what_will_do_is_taken(said, name, version, packs, one_id):
    runtime = told_by(f"{said}\n")
    assert (runtime.name, runtime.version, runtime.problem) == (name, version, None)
    assert (runtime.takes_mksquashfs_arguments, runtime.builds_with_one_id) == (packs, one_id)


@pytest.mark.fault(
    "Apptainer or Singularity is too old",
    promise="it is refused by name and version, and the sentence says what is needed",
)
@pytest.mark.parametrize(("said", "named"), REFUSED)
def test_what_will_not_do_is_refused_by_name(said, named):
    wanted = "Apptainer 1.1 or later, or SingularityCE 4 or later"
    assert told_by(said).problem == f"{named} will not do; {wanted} is needed"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put programs on a PATH of the test's own, which say their version and write down what else they are asked."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(apptainer, "_home", lambda: tmp_path / "none")

    def write(name, said):
        log, file = tmp_path / f"{name}.log", tmp_path / name
        # `build` ends with the target and the definition.
        build = f'printf "%s\\n" "$@" >>"{log}"; touch "${{@: -2:1}}"'
        file.write_text(f'#!/bin/bash\nif [[ $1 == --version ]]; then echo "{said}"; else {build}; fi\n')
        file.chmod(0o755)
        return file, log

    return write


def test_the_one_that_will_do_is_found_behind_one_that_will_not(program):
    program("apptainer", "apptainer version 1.0.3")
    assert apptainer.find() is None
    singularity, _ = program("singularity", "singularity-ce version 4.1.5-jammy")
    assert (apptainer.find().program, apptainer.find().version) == (singularity, "4.1.5-jammy")


def test_where_none_will_do_each_is_named_with_its_place(program, monkeypatch):
    old, _ = program("singularity", "singularity version 3.8.7-1.el8")
    monkeypatch.setattr(apptainer, "_distribution", lambda: {"sles"})
    with pytest.raises(RlsifError, match=rf"^Singularity 3\.8\.7-1\.el8 will not do; .* it is at {old}; no other can"):
        apptainer.find_or_install(site.Site(None, None), "patchelf")


@pytest.mark.fault(
    "Apptainer is 1.1, or it is SingularityCE 4",
    promise="builds use only the options that it has",
)
@pytest.mark.parametrize("said", ["apptainer version 1.1.9", "singularity-ce version 4.1.5", "apptainer version 1.4.5"])
def test_no_flag_is_given_that_the_program_does_not_know(program, tmp_path, said):
    file, log = program("apptainer", said)
    Images(file).build("a.def", tmp_path / "an image.sif", ["--fakeroot"], compression=9)
    given = {line for line in log.read_text().splitlines() if line.startswith("--")}
    assert given == FLAGS_OF_OLD_ONES | ({"--mksquashfs-args"} if "1.4" in said else set())


def test_definitions_are_filled_in_before_the_program_reads_them():
    """Apptainer 1.1 has no --build-arg."""
    values = {"BASE": "/b a/base.sif", "STAGING": "/staging", "SEAL": "seal-1"}
    text = rendered(CHECKOUT / "containers", "gpu", values)
    assert "{{" not in text and "From: /b a/base.sif" in text and 'prefix.sh "gpu"' in text and "(CUDA)" in text


@pytest.mark.fault(
    "a user may make no user namespaces and has no subordinate ids",
    promise="a build is refused, and the sentence names the ways out",
)
def test_who_cannot_act_as_root_is_told_the_ways_out(monkeypatch):
    user = namespaces.user()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(namespaces, "lacking_for_many_ids", lambda: "no line in /etc/subuid")
    monkeypatch.setattr(namespaces, "are_allowed", lambda: True)
    assert apptainer.build_options(told_by("apptainer version 1.1.9")) == ["--fakeroot"]
    with pytest.raises(
        RlsifError, match=rf"SingularityCE 4\.1\.5 builds only .* {user} has none; .* Apptainer 1\.1 or"
    ):
        apptainer.build_options(told_by("singularity-ce version 4.1.5"))
    monkeypatch.setattr(namespaces, "are_allowed", lambda: False)
    ways = rf"^{user} may not make user namespaces .*`sysctl .*`usermod .* {user}`, or build on another machine"
    with pytest.raises(RlsifError, match=ways):
        apptainer.build_options(told_by("apptainer version 1.1.9"))


def test_subordinate_ids_are_looked_up_by_name_and_by_number(tmp_path, monkeypatch):
    file = tmp_path / "subuid"
    file.write_text("somebody:100000:65536\n")
    assert namespaces.lacking_for_many_ids([file]) == f"no line in {file}"
    monkeypatch.setattr(namespaces.shutil, "which", lambda _: None)
    file.write_text(f"{os.getuid()}:100000:65536\n")
    assert namespaces.lacking_for_many_ids([file]) == "no newuidmap on PATH"
    monkeypatch.setattr(namespaces.shutil, "which", str)
    assert namespaces.lacking_for_many_ids([file]) == ""


def test_where_user_namespaces_are_forbidden_that_is_seen():
    """In a namespace that forbids further ones, as an administrator does on the whole machine."""
    code = "from rlsif.images import namespaces; print(namespaces.are_allowed())"
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" -c "$1"'
    ask = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, sys.executable, code]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "entrypoints")}
    said = [
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        for command in (ask, [sys.executable, "-c", code])
    ]
    assert said == ["False\n", "True\n"]


def test_files_are_given_away_in_appearance_where_there_is_one_id(tmp_path):
    script = 'touch given && chown 0:42 given && stat --format="%u:%g" given && id -u'
    done = subprocess.run(
        namespaces.as_root_of_one_id(["sh", "-c", script]), cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout == "0:0\n0\n"


def test_another_base_makes_another_image(monkeypatch):
    digests = []
    for base in ("", "mirror", "docker://a.site/debian:12"):
        monkeypatch.setenv("RL_BASE", base)
        digests.append(Request(CHECKOUT, "cpu").digest())
    assert digests[0] == digests[1] != digests[2]

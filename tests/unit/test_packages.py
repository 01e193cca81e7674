"""Packages beside the code and in layers: what is asked for, what is refused, what is noted."""

import re
import sys
from pathlib import Path

import pytest

from rlsif import packages
from rlsif.errors import InputError
from rlsif.images.build import Request
from rlsif.images.layer import Additions, _first_line, lock_is_current, lock_of, stage_layer
from rlsif.packages import solve
from rlsif.packages.added import _merge

CHECKOUT = Path(__file__).parents[2]
EXTRAS = CHECKOUT / "containers/requirements/extras"


@pytest.mark.parametrize(
    ("sides", "sentence"),
    [
        (
            ["The user requested numpy==1.26.4", "The user requested (constraint) numpy==2.4.6"],
            "numpy==1.26.4 is asked for, but this image has numpy 2.4.6, which stays as it is",
        ),
        (
            ["oldenv 1.0 depends on numpy<2", "The user requested (constraint) numpy==2.4.6"] * 2,
            "oldenv 1.0 wants numpy<2, but this image has numpy 2.4.6, which stays as it is",
        ),
        (
            ["a 1 depends on c<2", "b 1 depends on c>=2"],
            "a 1 wants c<2, and b 1 wants c>=2; these cannot go together",
        ),
    ],
)
def test_a_conflict_names_both_sides(sides, sentence):
    assert solve.conflict_sentence(sides).startswith(sentence)


def test_requirements_are_read_from_every_kind_of_file(tmp_path):
    (tmp_path / "more.txt").write_text("c\n")
    text = "# mine\na>=1  # why\n\nb==2 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n-r more.txt\n"
    (tmp_path / "requirements.txt").write_text(text)
    assert solve.requirements_of(tmp_path / "requirements.txt") == ["a>=1", "b==2", "c"]
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["a>=1"]\n')
    assert solve.requirements_of(tmp_path / "pyproject.toml") == ["a>=1"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("requirements.txt", "-e .\n", "has the line '-e .'; it may have packages by name and version"),
        ("pyproject.toml", "[tool.x]\n", "has no dependencies in its [project]"),
        ("pyproject.toml", "[[", "is no TOML"),
        ("none.txt", None, "is not there; an image sees home"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=re.escape(said)):
        solve.requirements_of(tmp_path / name)


def test_what_is_asked_for_again_takes_the_place_of_before():
    assert _merge(["a>=1", "My_b[x]==2", "c"], ["my-b==3", "d"]) == ["a>=1", "c", "my-b==3", "d"]


@pytest.fixture
def image(tmp_path, monkeypatch):
    """A process with the pins of an image, one package of a layer, and one beside the code."""
    pins = tmp_path / "pins"
    pins.mkdir()
    (pins / "digest").write_text("0123456789ab\n")
    (pins / "added.lock").write_text("of-layer==1\n")
    (pins / "constraints.txt").write_text("base==3\nof-layer==1\n")
    for name in ("Base-3", "of_layer-1", "by_definition-4", "rlsif-0.1.0"):
        (tmp_path / f"lib/python3.11/site-packages/{name}.dist-info").mkdir(parents=True)
    here, other = tmp_path / ".rlsif/0123456789ab", tmp_path / ".rlsif/ba9876543210"
    for folder in (here, other):
        folder.mkdir(parents=True)
        (folder / packages.LOCK).write_text("Of_Folder==2 \\\n    --hash=sha256:00\n")
    monkeypatch.setattr(packages, "PINS", pins)
    monkeypatch.setattr(packages.image_digest, "__defaults__", (pins,))
    monkeypatch.setattr(sys, "path", [*sys.path, str(here)])
    return tmp_path


def test_what_is_beyond_the_image_is_noted(image):
    assert packages.installed_packages() == {"by-definition": "4", "of-folder": "2", "of-layer": "1"}
    [other] = packages.for_other_images(image / ".rlsif", packages.image_digest())
    assert other.name == "ba9876543210"


def test_what_a_run_had_and_is_not_here_is_told():
    here = packages._version("pytest")
    told = packages.lacking({"pytest": here, "citylearn": "1.2", "pip": "0.1"})
    assert told[0] == "citylearn 1.2, which is missing here"
    assert re.fullmatch(r"pip 0\.1, (where \S+ is here|which is missing here)", told[1])
    assert len(told) == 2


def test_every_extra_of_a_module_is_there():
    assert {f"{e}.lock" for e in packages.EXTRA_OF.values()} == {p.name for p in EXTRAS.glob("*.lock")}


def test_several_extras_go_into_one_image():
    """No two locks, and no lock and the image, have two versions of a package."""
    versions = {}
    for lock in [*EXTRAS.glob("*.lock"), EXTRAS.parent / "cpu.lock", EXTRAS.parent / "gpu.lock"]:
        for name, version in packages.pinned(lock.read_text()).items():
            assert versions.setdefault(name, version) == version, f"{name} in {lock.name}"
    assert versions["mujoco"].startswith("3.") and "pygame-ce" not in versions


def test_a_lock_is_of_its_requirements_and_its_image(tmp_path):
    asked, image_lock = tmp_path / "requirements.txt", tmp_path / "cpu.lock"
    asked.write_text("a\n")
    image_lock.write_text("numpy==2\n")
    assert not lock_is_current(asked, image_lock)
    lock_of(asked).write_text(_first_line(asked, image_lock) + "a==1\n")
    assert lock_is_current(asked, image_lock)
    asked.write_text("b\n")
    assert not lock_is_current(asked, image_lock)


def test_a_layer_has_an_image_of_its_own(tmp_path):
    base = Request(CHECKOUT, "cpu")
    mine = Request(CHECKOUT, "cpu", ("mujoco",), added=Additions(debian=("libgl1",)), name="mine")
    assert mine.base_digest() == base.digest() == base.base_digest()
    assert len({base.digest(), mine.digest(), Request(CHECKOUT, "cpu", ("mujoco",)).digest()}) == 3
    assert mine.target == CHECKOUT / "mine.sif" == Request(CHECKOUT, "cpu", name="mine.sif").target


def test_a_layer_has_the_libraries_of_its_extras(tmp_path):
    request = Request(CHECKOUT, "cpu", ("mujoco", "robotics"), added=Additions(debian=("libgl1", "tree")))
    stage_layer(request.added, request.extra_files(), tmp_path)
    assert (tmp_path / "debian").read_text().split() == ["libgl1", "tree", "libegl1", "libosmesa6"]
    assert sorted(p.name for p in (tmp_path / "locks").iterdir()) == ["mujoco.lock", "robotics.lock"]
    assert "MUJOCO_GL" in (tmp_path / "environment").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"requirements": Path("none.txt")}, "REQUIREMENTS is none.txt, which is not a file like requirements.txt"),
        ({"environment": Path("none.yml")}, "ENVIRONMENT is none.yml, which is not a file like environment.yml"),
        ({"debian": ("lib; rm",)}, "APT has 'lib; rm', which is not the name of a Debian package"),
        ({"wheelhouse": Path("none")}, "WHEELHOUSE is none, which is not a folder"),
    ],
)
def test_additions_that_cannot_be_right_are_refused(given, said):
    with pytest.raises(InputError, match=said):
        Additions(**given)


def test_a_name_that_is_a_path_is_refused():
    with pytest.raises(InputError, match="NAME is '../x'; it must be the name of a file in the checkout"):
        Request(CHECKOUT, "cpu", name="../x")

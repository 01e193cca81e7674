"""What a layer must not do to the packages below it, and what it writes down."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "containers/build"))


@pytest.fixture
def prefix(tmp_path):
    """A prefix as a base image has it, with one package for which another stands in."""
    import pins

    install(tmp_path, "pygame", "2.6.1", "pygame/__init__.py")
    install(tmp_path, "numpy", "2.4.6", "numpy/__init__.py")
    pins.set_up(tmp_path, "shared")
    pins.main(tmp_path)
    return tmp_path


def install(prefix, name, version, *files):
    info = site(prefix) / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def site(prefix):
    return prefix / "lib/python3.11/site-packages"


def look(prefix):
    from layer import constraints, problems
    from pins import installed

    return problems(constraints(prefix / "pins"), installed(site(prefix)), site(prefix))


def test_the_pins_hold_what_is_installed_and_what_stands_in(prefix):
    constraints = (prefix / "pins/constraints.txt").read_text()
    assert constraints == "numpy==2.4.6\npygame==2.6.1\npygame-ce==2.5.8\n"
    assert (prefix / "pip.conf").read_text().startswith(f"[global]\nconstraint = {prefix}/pins/constraints.txt\n")


def test_a_package_beside_the_others_is_right_and_changes_the_digest(prefix):
    import pins

    before = (prefix / "pins/digest").read_text()
    install(prefix, "highway-env", "1.12.1", "highway_env/__init__.py")
    assert look(prefix) == []
    (prefix / "lock").write_text("highway-env==1.12.1\n")
    pins.main(prefix, prefix / "lock")
    assert (prefix / "pins/digest").read_text() != before
    assert "highway-env==1.12.1\n" in (prefix / "pins/constraints.txt").read_text()


@pytest.mark.fault(
    "an added package has a file of a package of the image",
    promise="it is refused, and the image's file stays",
)
def test_files_of_another_package_are_not_written_over(prefix):
    install(prefix, "cuckoo", "1.0", "numpy/__init__.py", "../../bin/cuckoo", "cuckoo.pyc")
    assert look(prefix) == ["cuckoo 1.0 has overwritten numpy/__init__.py of numpy, which the image has"]


def test_another_version_is_told(prefix):
    (site(prefix) / "numpy-2.4.6.dist-info").rename(prefix / "gone")
    install(prefix, "numpy", "1.26.4", "numpy/__init__.py")
    assert look(prefix) == ["numpy 2.4.6 was in the image, now it is 1.26.4"]

"""Files of an image count, not the bundle of bytecode: whatever lies over them, or was changed in them."""

import subprocess
from pathlib import Path

import pytest

from rlsif.images.apptainer import build_options, find

SITE = "/opt/rl/lib/python3.11/site-packages"
NEW = "MARK = 'the new one'\n"
# A module that the image has, and a package.
MODULE, PACKAGE = "typing_extensions", "plotext"
READ = f"import {MODULE} as one, {PACKAGE} as other; print(getattr(one, 'MARK', ''), getattr(other, 'MARK', ''))"
IS_USED = "import typing_extensions as m; print(type(m.__loader__).__name__)"


@pytest.fixture(scope="module")
def sandbox(apptainer, rl_sif, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox") / "rl"
    command = [apptainer, "build", *build_options(find().runtime), "--sandbox", folder, rl_sif]
    subprocess.run(command, capture_output=True, check=True)
    return folder


def write(site):
    """Put a new module, package and addition into a folder that is, or will lie over, site-packages."""
    for path in (f"{MODULE}.py", f"{PACKAGE}/__init__.py", "never_seen/__init__.py"):
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(NEW)


def test_the_image_as_it_was_built_uses_the_bundle(container):
    assert container("python", "-c", IS_USED).stdout == "BundleLoader\n"
    assert container("python", "-c", IS_USED, env={"RLSIF_BUNDLE": "0"}).stdout == "SourceFileLoader\n"


def test_what_is_bound_over_a_module_or_a_package(container):
    write(container.folder)
    binds = [f"{container.folder}/{MODULE}.py:{SITE}/{MODULE}.py", f"{container.folder}/{PACKAGE}:{SITE}/{PACKAGE}"]
    verb = ("exec", *(option for bind in binds for option in ("--bind", bind)))
    assert container("python", "-c", READ, verb=verb).stdout == "the new one the new one\n"
    done = container("python", "-c", "import rich; print(type(rich.__loader__).__name__)", verb=verb)
    assert done.stdout == "BundleLoader\n"


@pytest.mark.parametrize("how", ["", ":ro"])
def test_an_overlay(container, how):
    overlay = container.folder / "overlay"
    write(overlay / f"upper{SITE}")
    done = container("python", "-c", f"{READ}; import never_seen", verb=("exec", "--overlay", f"{overlay}{how}"))
    assert done.stdout == "the new one the new one\n", done.stderr


def test_files_changed_in_memory(container):
    script = f'echo "MARK = \'the new one\'" | tee {SITE}/{MODULE}.py {SITE}/{PACKAGE}/__init__.py; python -c "$CODE"'
    done = container("sh", "-c", script, verb=("exec", "--writable-tmpfs"), env={"CODE": READ})
    assert done.stdout.endswith("the new one the new one\n"), done.stderr


def test_a_sandbox_that_was_edited(container, sandbox):
    write(Path(f"{sandbox}{SITE}"))
    (Path(f"{sandbox}{SITE}") / "rlsif/errors.py").open("a").write(NEW)
    container.image = sandbox
    code = f"{READ}; import never_seen, rlsif.errors; print(rlsif.errors.MARK)"
    assert container("python", "-c", code).stdout == "the new one the new one\nthe new one\n"
    # What was not touched still comes from the bundle.
    assert "BundleLoader" in container("python", "-c", "import rich; print(rich.__loader__)").stdout

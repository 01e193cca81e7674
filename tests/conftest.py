"""What tests share: Apptainer, the image, and ways to type its commands; who runs beside whom."""

import functools
import shutil
import tempfile
from pathlib import Path

import pytest

from rlsif.images.apptainer import find
from rlsif.images.sif import Images
from tests.commands import CHECKOUT, Container, Shell, forks
from tests.faults import Faults
from tests.preparing import IMAGE, Preparing, prepared
from tests.rows import check_rows


def pytest_addoption(parser):
    parser.addoption("--build-image", action="store_true", help="make rl.sif while tests run that need none")


def pytest_configure(config):
    """Have the run write the page of faults; begin to prepare what all its workers share."""
    config.pluginmanager.register(Faults())
    workers = config.getoption("dist", "no") != "no"
    if not hasattr(config, "workerinput") and (config.option.build_image or workers):
        config.preparing = Preparing(config.option.build_image, folders_of_tests(config))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell a new worker where it is prepared."""
    if hasattr(node.config, "preparing"):
        node.workerinput["prepared"] = str(node.config.preparing.folder)


def pytest_unconfigure(config):
    """End what belongs to the whole run."""
    if hasattr(config, "preparing"):
        config.preparing.close()


def pytest_terminal_summary(terminalreporter, config):
    """Say what was done to have the image."""
    if config.option.build_image and hasattr(config, "preparing"):
        terminalreporter.section("rl.sif")
        terminalreporter.write(config.preparing.log.read_text())


def wait_for(config, what):
    """What the file of a prepared thing says, or None where this run prepares nothing."""
    own = config.preparing.folder if hasattr(config, "preparing") else None
    folder = getattr(config, "workerinput", {}).get("prepared", own)
    return prepared(Path(folder), what) if folder else None


@pytest.fixture(scope="session")
def apptainer(request):
    check(wait_for(request.config, "apptainer"))
    found = find()
    if found is None:
        pytest.skip("needs Apptainer; `make image-cpu` installs it where that is possible")
    return found.program


def check(problem):
    """Fail where something could not be prepared."""
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def images(apptainer):
    return Images(apptainer)


@pytest.fixture(scope="session")
def rl_sif(request):
    check(wait_for(request.config, "image"))
    if not IMAGE.exists():
        pytest.skip("needs rl.sif; `make image-cpu` builds it")
    return IMAGE


@pytest.fixture
def folder(tmp_path):
    """A folder of the test's own, with a space in its name as users have; no run in it may lose or double a row."""
    path = tmp_path / "a folder"
    path.mkdir()
    yield path
    check_rows(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def container(apptainer, rl_sif, folder):
    """The real thing: every command is an `apptainer exec`."""
    return Container(apptainer, rl_sif, folder)


@pytest.fixture
def shell(apptainer, rl_sif, forks_socket, folder):
    """The same commands, run where image and imports are there already: for what only the command decides."""
    return Shell(apptainer, rl_sif, folder, forks_socket)


@pytest.fixture(scope="session")
def forks_socket(request, apptainer, rl_sif):
    """The socket of the process that forks: one for all of a run's workers, or this process's own."""
    shared = wait_for(request.config, "forks")
    if shared:
        yield Path(shared)
        return
    with forks(apptainer, rl_sif, *folders_of_tests(request.config)) as path:
        yield path


def folders_of_tests(config):
    """Where tests have their folders, as far as an image does not see them anyway."""
    places = [Path(tempfile.gettempdir()), *filter(None, [config.option.basetemp])]
    return [place for place in map(Path, places) if Path("/tmp") not in (place, *place.parents)]


# What needs no image runs first, while that is built.
WITHOUT_IMAGE = ("tests/unit/", "tests/image/test_sources.py")
# How far through the run the tests of a folder are spread: in the end are those that keep nobody waiting.
LAST = {"slurm": 0.8, "image": 0.95, "unit": 1}


@functools.cache
def shares(file):
    """Whether tests of a file, by its path in the checkout, share what a fixture makes once."""
    return 'scope="module"' in (CHECKOUT / file).read_text()


def file_of(nodeid):
    return nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give workers one test after the other in our order, and a file that shares something as a whole.

    xdist's own `loadgroup` gives every test alone with this pytest: it renames items in a way that has no effect.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return file_of(nodeid) if shares(file_of(nodeid)) else nodeid

        def _reschedule(self, node):
            # A worker knows its next test. Of more that it had, others would be in want in the end.
            if node.shutting_down or not self.workqueue or self._pending_of(self.assigned_work[node]) < 2:
                super()._reschedule(node)

    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Spread tests that wait between those that compute; begin early with what takes long.

    Also among those that begin early: workers that all form a cluster at once keep each other from it. Before all
    others are those that need no image, while it is built.
    """
    if not hasattr(config, "workerinput"):
        return
    groups = {}
    for item in items:
        folder = item.path.parent.name
        early = shares(file_of(item.nodeid)) or bool(item.get_closest_marker("long"))
        first = config.option.build_image and item.nodeid.startswith(WITHOUT_IMAGE)
        groups.setdefault((folder, 2 if first else early), []).append(item)
    place = {}
    for (folder, early), alike in groups.items():
        for number, item in enumerate(alike):
            place[item] = LAST.get(folder, 1) * (number + 1) / len(alike) - 2 * early
    items.sort(key=place.get)

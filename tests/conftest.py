"""What tests share: Apptainer, the image, and ways to type its commands; who runs beside whom."""

import contextlib
import functools
import shutil
import tempfile
from pathlib import Path

import pytest

from rlsif.images.apptainer import find
from rlsif.images.sif import Images
from tests.commands import CHECKOUT, Container, Shell, forks
from tests.faults import Faults

IMAGE = CHECKOUT / "rl.sif"


def pytest_configure(config):
    """Have the run write the page of faults."""
    config.pluginmanager.register(Faults())


@pytest.fixture(scope="session")
def apptainer():
    found = find()
    if found is None:
        pytest.skip("needs Apptainer; `make image-cpu` installs it where that is possible")
    return found.program


@pytest.fixture(scope="session")
def images(apptainer):
    return Images(apptainer)


@pytest.fixture(scope="session")
def rl_sif():
    if not IMAGE.exists():
        pytest.skip("needs rl.sif; `make image-cpu` builds it")
    return IMAGE


@pytest.fixture
def folder(tmp_path):
    """A folder of the test's own, with a space in its name as users have."""
    path = tmp_path / "a folder"
    path.mkdir()
    yield path
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
    shared = getattr(request.config, "workerinput", {}).get("forks")
    if shared:
        yield Path(shared)
        return
    with forks(apptainer, rl_sif, *folders_of_tests(request.config)) as path:
        yield path


def folders_of_tests(config):
    """Where tests have their folders, as far as an image does not see them anyway."""
    places = [Path(tempfile.gettempdir()), *filter(None, [config.option.basetemp])]
    return [place for place in map(Path, places) if Path("/tmp") not in (place, *place.parents)]


# What belongs to the whole run, in the process that starts its workers.
OF_THE_RUN = contextlib.ExitStack()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Give a new worker what all workers share."""
    config = node.config
    if not hasattr(config, "forks") and IMAGE.exists() and find() is not None:
        config.forks = OF_THE_RUN.enter_context(forks(find().program, IMAGE, *folders_of_tests(config)))
    node.workerinput["forks"] = str(getattr(config, "forks", ""))


def pytest_unconfigure():
    """End what belongs to the whole run."""
    OF_THE_RUN.close()


# How far through the run the tests of a folder are spread.
LAST = {"slurm": 0.9, "image": 0.95, "unit": 1}


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

    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Spread tests that wait between those that compute; begin early with what takes long.

    Also among those that begin early: workers that all form a cluster at once keep each other from it.
    """
    if not hasattr(config, "workerinput"):
        return
    groups = {}
    for item in items:
        early = shares(file_of(item.nodeid)) or bool(item.get_closest_marker("long"))
        groups.setdefault((item.path.parent.name, early), []).append(item)
    place = {}
    for (folder, early), alike in groups.items():
        for number, item in enumerate(alike):
            place[item] = LAST.get(folder, 1) * (number + 1) / len(alike) - 2 * early
    items.sort(key=place.get)

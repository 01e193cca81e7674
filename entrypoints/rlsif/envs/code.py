"""The user's own modules and files, which every process of a run imports from where the command was typed."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

from rlsif.errors import InputError
from rlsif.packages import EXTRA_OF, building


def add_code_folder(folder: str) -> None:
    """Let modules be imported from a folder. It comes last, so that none hides a library's."""
    if folder not in sys.path:
        sys.path.append(folder)


def module_at(place: str, wanted_by: str) -> ModuleType:
    """The module of that name, or of that file; `wanted_by` begins a message. Raises InputError."""
    return _of_file(Path(place), wanted_by) if place.endswith(".py") else _named(place, wanted_by)


def class_at(name: str, wanted_by: str) -> type:
    """The class of a name that has its module or file before it; `wanted_by` begins a message. Raises InputError."""
    place, _, short = name.rpartition(":")
    module = module_at(place, wanted_by)
    found = getattr(module, short, None)
    if not inspect.isclass(found):
        has = ", ".join(classes_of(module)) or "none"
        raise InputError(f"{wanted_by}: {module.__file__} has no class {short}; it has {has}")
    return found


def classes_of(module: ModuleType, kind: type = object) -> list[str]:
    """The names of the classes of a kind that a module has, without those that it imports."""
    found = [(name, value) for name, value in vars(module).items() if inspect.isclass(value)]
    return [name for name, value in found if issubclass(value, kind) and value.__module__ == module.__name__]


def _named(name: str, wanted_by: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as problem:
        raise InputError(f"{wanted_by}: module {name!r} cannot be imported: {_said(problem)}") from problem


def _of_file(path: Path, wanted_by: str) -> ModuleType:
    path = path.expanduser().absolute()
    # A prefix, so that a file env.py hides no module of that name.
    name = f"own_{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    if not path.is_file():
        raise InputError(f"{wanted_by}: there is no file {path}; an image sees bound folders alone")
    add_code_folder(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:
        del sys.modules[name]
        raise InputError(f"{wanted_by}: {path} cannot be imported: {_said(problem)}") from problem
    return module


def _said(problem: BaseException) -> str:
    """What an exception says, with its kind where that tells more, and what to do about a package."""
    if not isinstance(problem, ImportError):
        return f"{type(problem).__name__}: {problem}"
    return f"{problem}; {building(problem.name)}" if problem.name in EXTRA_OF else str(problem)

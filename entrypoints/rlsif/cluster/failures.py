"""A note that any process of a run leaves for it: the first failure, as a traceback."""

from __future__ import annotations

import functools
import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from rlsif import private_api
from rlsif.cluster import membership
from rlsif.errors import Elsewhere, RlsifError

P = ParamSpec("P")
T = TypeVar("T")

KEY = "rlsif/failure"


@dataclass(frozen=True)
class Failure:
    """What went wrong, and on which node, by Ray's id of it."""

    node: str
    traceback: str
    # Where the problem says all in a sentence of its own.
    sentence: str = ""


def _key(run: str) -> bytes:
    return f"{KEY}/{run}".encode()


def report(problem: BaseException) -> None:
    """Leave the traceback in Ray's key-value store, unless an earlier one is there."""
    import ray

    if ray.is_initialized():
        sentence = str(problem) if isinstance(problem, RlsifError) else ""
        failure = Failure(ray.get_runtime_context().get_node_id(), own_traceback(problem), sentence)
        private_api.put_shared(_key(membership.run()), json.dumps(asdict(failure)).encode(), overwrite=False)


def reporting(method: Callable[P, T]) -> Callable[P, T]:
    """A method whose exceptions are left for the run; RLlib would start its actor again and say nothing."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except SystemExit as problem:
            # An environment's simulator may want to end everything.
            ended = RlsifError(f"the environment called sys.exit({problem.code!r}); raise an error instead")
            report(ended)
            raise ended from problem
        except Exception as problem:
            report(problem)
            raise

    return call


def reported(run: str = "") -> Failure | None:
    """What a process of a run has left, if anything."""
    left = private_api.shared(_key(run))
    return Failure(**json.loads(left)) if left else None


def forget(run: str = "") -> None:
    """Take the note away, so that the next failure is noted."""
    private_api.delete_shared(_key(run))


def own_traceback(problem: BaseException) -> str:
    """The traceback from the first frame on that is not Ray's, Gymnasium's or ours; all of it if there is none."""
    import gymnasium
    import ray

    theirs = [Path(ray.__file__).parent, Path(gymnasium.__file__).parent, Path(__file__).parents[1]]
    frames: Sequence[traceback.FrameSummary] = traceback.extract_tb(problem.__traceback__)
    said = traceback.format_exception_only(type(problem), problem)
    if isinstance(problem, Elsewhere):
        frames, said = problem.frames, problem.said
    own = next((i for i, f in enumerate(frames) if not any(Path(f.filename).is_relative_to(t) for t in theirs)), 0)
    head = ["Traceback (most recent call last):\n", *traceback.format_list(frames[own:])]
    return "".join([*head, *said])

"""What RLlib makes of a run's settings, asked of a process of its own.

RLlib looks for TensorFlow once, when it is imported. The asking process may need it later, or may have left it out.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlsif.envs.code import add_code_folder
from rlsif.envs.find import FoundEnv
from rlsif.errors import InputError, RlsifError
from rlsif.learning.catalogue import catalogue
from rlsif.learning.hyperparameters import check, refusal, whole_numbers
from rlsif.learning.spec import Layout, RunSpec
from rlsif.policies.convolution import DIVIDES_PIXELS
from rlsif.private_api import NO_TENSORFLOW
from rlsif.values import merge

# Without the working folder first on the path, where a user's file hides a library's.
CODE = "import sys; sys.path = [p for p in sys.path if p]; from rlsif.learning.settings import answer; answer()"


# What a model has, and RLlib does not.
OWN_OF_MODELS = {"model": {DIVIDES_PIXELS: False}}


def check_hyperparameters(algo: str, *given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Refuse what RLlib's settings of the algorithm do not have; give the rest as RLlib takes it.

    Takes several mappings and asks RLlib once. Raises InputError.
    """
    known = merge({**_ask({"algo": algo})["defaults"], **catalogue()[algo].defaults}, OWN_OF_MODELS)
    for settings in given:
        check(settings, known, algo)
    return [whole_numbers(settings, known) for settings in given]


def resolve(spec: RunSpec, layout: Layout, env: FoundEnv) -> str | None:
    """Why a run with these settings is sampled by RLlib; None where it is in NumPy. Raises InputError."""
    answer: str | None = _ask({"algo": spec.algo, "spec": spec, "layout": layout, "env": env})["rllib_samples"]
    return answer


@dataclass(frozen=True)
class Rehearsal:
    """What came of a network that acted before anything is trained."""

    # Why it cannot act in the environment; None where it did so.
    fails: str | None
    # Why the run is sampled by RLlib; None where it is in NumPy.
    rllib_samples: str | None


def rehearse(spec: RunSpec, layout: Layout, env: FoundEnv) -> Rehearsal:
    """Have the network of a run act in the environment. Raises InputError."""
    question = {"algo": spec.algo, "spec": spec, "layout": layout, "env": env, "acts": True}
    said = _ask(question, tensorflow=True)
    return Rehearsal(said["fails"], said["rllib_samples"])


def _ask(question: Mapping[str, Any], *, tensorflow: bool = False) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != NO_TENSORFLOW}
    if not tensorflow:
        environment[NO_TENSORFLOW] = "1"
    folder = question["spec"].env.code_folder if "spec" in question else "."
    asked = json.dumps(folder).encode() + b"\n" + pickle.dumps(question)
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, input=asked, capture_output=True, check=False)
    if done.returncode != 0:
        raise RlsifError(f"RLlib cannot be imported: {(done.stderr.decode().strip().splitlines() or ['?'])[-1]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if said.get("refused"):
        raise InputError(said["refused"])
    return said


def answer() -> None:
    """Read a question from standard input, and print the answer as one line of JSON."""
    add_code_folder(json.loads(sys.stdin.buffer.readline()))
    question = pickle.loads(sys.stdin.buffer.read())
    try:
        print(json.dumps(_answered(question), default=str, skipkeys=True))
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        print(json.dumps({"refused": refusal(question["algo"], problem)}))


def _answered(question: Mapping[str, Any]) -> dict[str, Any]:
    if "acts" in question:
        from rlsif.learning.rehearsal import rehearse

        return rehearse(question["spec"], question["layout"], question["env"])
    from rlsif.learning.build import against_sampling, config_class, configure

    if "spec" not in question:
        return {"defaults": config_class(question["algo"])().to_dict()}
    spec, env = question["spec"], question["env"]
    try:
        return {"rllib_samples": against_sampling(spec, configure(spec, question["layout"], env), env)}
    except InputError as problem:
        return {"refused": str(problem)}

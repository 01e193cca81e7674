"""Runs inside the image: which of RLlib's settings no code reads that runs where TensorFlow learns.

Prints a JSON object: by algorithm, the names of those, and of those among them that `train` takes all the same. Looks
for `config.NAME`, `self.NAME` and `"NAME"` in RLlib's source.
"""

import inspect
import json
import os
import re
from pathlib import Path

from rlsif.private_api import NO_TENSORFLOW

os.environ[NO_TENSORFLOW] = "1"

import ray.rllib

import rlsif
from rlsif.errors import InputError
from rlsif.learning.build import config_class
from rlsif.learning.catalogue import catalogue
from rlsif.learning.hyperparameters import check

RLLIB = Path(ray.rllib.__file__).parent
# Of the new API stack, of PyTorch, or where settings are declared.
OTHERS = re.compile(
    r"torch|learner(?!_thread)|rl_module|catalog|algorithm_config\.py|single_agent|multi_agent_env_runner|env_runner\.py"
    r"|env/external|metrics_logger|offline_(data|eval|env|pre)|runner_group\.py$|utils/runners"
)
SHARED = ("evaluation", "execution", "models", "offline", "policy", "utils", "env")


def code(files):
    return "\n".join(_without_declarations(path.read_text()) for path in files if not OTHERS.search(str(path)))


def _without_declarations(text):
    # What a class of settings sets itself, and what a comment or a text of several lines tells.
    text = re.sub(r'"""[\s\S]*?"""', "", text)
    return re.sub(r"^\s*(self\.\w+(: [^=\n]+)? = [^=].*|#.*)$", "", text, flags=re.M)


def of_algorithm(config):
    folders = {Path(inspect.getfile(each)).parent for each in (type(config), config.algo_class)}
    for each in (*type(config).__mro__, *config.algo_class.__mro__):
        file = Path(inspect.getfile(each)) if each is not object else Path()
        if file.parent.parent == RLLIB / "algorithms":
            folders.add(file.parent)
    return [file for folder in folders for file in folder.glob("*.py")]


def main():
    groups = RLLIB / "env/env_runner_group.py"
    mine = (file for file in Path(rlsif.__file__).parent.rglob("*.py") if file.name != "without_effect.py")
    shared = [file for name in SHARED for file in (RLLIB / name).rglob("*.py")]
    both = code([*shared, RLLIB / "algorithms/algorithm.py", RLLIB / "algorithms/utils.py", *mine])
    both += _without_declarations(groups.read_text())
    found = {}
    for algo in catalogue():
        config = config_class(algo)()
        text = both + code(of_algorithm(config))
        read = set(re.findall(r"(?:(?<=config\.)|(?<=cfg\.)|(?<=self\.)|(?<=\"))\w+", text))
        known = config.to_dict()
        unread = [name for name in known if name not in read and not name.startswith("_")]
        found[algo] = {"unread": unread, "taken": [name for name in unread if is_taken(name, known, algo)]}
    return found


def is_taken(name, known, algo):
    try:
        check({name: known[name]}, known, algo)
    except InputError as problem:
        # What takes a function is refused, too, with what to use instead.
        return not any(said in str(problem) for said in ("has no effect", "takes a function"))
    return True


if __name__ == "__main__":
    print(json.dumps(main()))

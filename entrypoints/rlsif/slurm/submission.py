"""The sbatch line of a job, from what a user asks for and what the site wants."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from rlsif.errors import InputError, near

# The groups of resources of each script.
SCRIPTS = {
    "hetjob": ("head", "rollout", "learner"),
    "multinode": ("rollout",),
    "node": ("rollout",),
    "rollout": ("rollout",),
}
# What sbatch takes without a value.
FLAGS = ("exclusive", "oversubscribe", "contiguous")
Options = dict[str, Optional[str]]


@dataclass(frozen=True)
class Submission:
    """What a user asks for; None where the script's own default is right."""

    script: str
    rollout_nodes: int | None
    cpus: int | None
    gpus: int | None
    time: str | None
    dashboard: bool = False

    def __post_init__(self) -> None:
        """Check the script and what it can take. Raises InputError."""
        if self.script not in SCRIPTS:
            raise InputError(f"script {self.script!r} is not one of {', '.join(SCRIPTS)}{near(self.script, SCRIPTS)}")
        if self.script == "node" and (self.rollout_nodes, self.cpus) != (None, None):
            raise InputError(
                "--rollout-nodes and --cpus are not for node, which takes the whole of one;"
                " a part of it is `multinode --rollout-nodes 1 --cpus 8`"
            )
        if self.script == "rollout" and self.gpus is not None:
            raise InputError("--gpus is for learners; the nodes of rollout have none")
        if self.script == "rollout" and self.dashboard:
            raise InputError("--dashboard is for the job that nodes are lent to, not for rollout")


def line(asked: Submission, site: Mapping[str, Options], checkout: Path, train: list[str]) -> str:
    """The sbatch line, quoted for a shell; `site` gives options by group, "" for all. Raises InputError."""
    groups = SCRIPTS[asked.script]
    if asked.script == "rollout" and not (len(train) == 1 and train[0].isdecimal()):
        raise InputError(
            f"rollout takes the number of a job after --, not {shlex.join(train)!r}; as in `rollout -- 123`"
        )
    wanted: dict[str, Options] = {group: {**site.get("", {}), **site.get(group, {})} for group in groups}
    if asked.time:
        wanted[groups[0]]["time"] = asked.time
    if asked.rollout_nodes is not None:
        wanted["rollout"]["nodes"] = str(asked.rollout_nodes)
    if asked.cpus is not None:
        wanted["rollout"]["cpus-per-task"] = str(asked.cpus)
    if asked.gpus is not None:
        learner = wanted[groups[-1]]
        learner["gres"] = _gres(learner.get("gres"), asked.gpus)
    words = ["env", "RL_DASHBOARD=1", "sbatch"] if asked.dashboard else ["sbatch"]
    for number, group in enumerate(groups):
        words += [":"] * (number > 0) + [
            f"--{name}" if value is None else f"--{name}={value}" for name, value in wanted[group].items()
        ]
    return shlex.join([*words, str(checkout / "slurm" / f"{asked.script}.sh"), *train])


def _gres(of_site: str | None, gpus: int) -> str:
    """So many GPUs, of the type that the site wants, as in gpu:a100:1."""
    if gpus == 0:
        return "none"
    parts = (of_site or "gpu").split(":")
    kind = [part for part in parts[1:] if not part.isdecimal()]
    return ":".join([parts[0], *kind, str(gpus)])


def read_site(path: Path) -> dict[str, Options]:
    """The options of a site by group, "" for all groups. Raises InputError for a line that says nothing."""
    site: dict[str, Options] = {}
    if not path.is_file():
        return site
    every_group = SCRIPTS["hetjob"]
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        text = text.partition("#")[0].strip()
        if not text:
            continue
        name, is_set, value = (part.strip() for part in text.partition("="))
        group, dot, option = name.rpartition(".")
        says = value if is_set else option in FLAGS
        if not says or not option or (dot and group not in every_group):
            raise InputError(
                f"{path} line {number} is {text!r}; it must be as `account = x`, or"
                f" `rollout.partition = x` for one of {', '.join(every_group)}, or one of {', '.join(FLAGS)}"
            )
        if option.startswith("RL_"):
            raise InputError(
                f"{path} line {number} is {text!r}, which is no option of sbatch; export {option} in your shell,"
                " or where your site sets up its users' environment"
            )
        if option == "mem":
            raise InputError(
                f"{path} line {number} is {text!r}; Slurm takes mem-per-cpu, which the scripts have, or mem"
            )
        site.setdefault(group, {})[option] = value if is_set else None
    return site

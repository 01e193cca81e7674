"""The sbatch line of a job, from what a user asks for and what the site wants."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rlsif.errors import InputError, near

# The groups of resources of each script.
SCRIPTS = {"hetjob": ("head", "rollout", "learner"), "multinode": ("rollout",), "node": ("rollout",)}
Options = dict[str, str]


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
        if self.script == "node" and self.rollout_nodes is not None:
            raise InputError("--rollout-nodes is for hetjob and multinode; node runs on one")
        if self.script != "hetjob" and self.gpus is not None:
            raise InputError(f"--gpus is for the learner of hetjob; {self.script} has none")


def line(asked: Submission, site: Mapping[str, Options], checkout: Path, train: list[str]) -> str:
    """The sbatch line, quoted for a shell; `site` gives options by group, "" for all."""
    groups = SCRIPTS[asked.script]
    wanted: dict[str, Options] = {group: {**site.get("", {}), **site.get(group, {})} for group in groups}
    if asked.time:
        wanted[groups[0]]["time"] = asked.time
    if asked.rollout_nodes is not None:
        wanted["rollout"]["nodes"] = str(asked.rollout_nodes)
    if asked.cpus is not None:
        wanted["rollout"]["cpus-per-task"] = str(asked.cpus)
    if asked.gpus is not None:
        wanted["learner"]["gres"] = f"gpu:{asked.gpus}" if asked.gpus else "none"
        if asked.gpus == 0:
            train = ["--num-gpus", "0", *train]
    words = ["env", "RL_DASHBOARD=1", "sbatch"] if asked.dashboard else ["sbatch"]
    for number, group in enumerate(groups):
        words += [":"] * (number > 0) + [f"--{name}={value}" for name, value in wanted[group].items()]
    return shlex.join([*words, str(checkout / "slurm" / f"{asked.script}.sh"), *train])


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
        if not is_set or not value or not option or (dot and group not in every_group):
            raise InputError(
                f"{path} line {number} is {text!r}; it must be as `account = x`, or"
                f" `rollout.partition = x` for one of {', '.join(every_group)}"
            )
        site.setdefault(group, {})[option] = value
    return site

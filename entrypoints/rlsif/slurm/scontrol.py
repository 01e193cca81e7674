"""What `scontrol show job` prints, as fields of each group of a job."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Optional

Fields = Mapping[str, str]

# Those whose value is the rest of the line, blanks included.
WHOLE_LINES = ("Command", "WorkDir", "StdErr", "StdIn", "StdOut", "SubmitLine", "Comment", "AdminComment")
# Where a request for GPUs may stand, and what one of its numbers is of.
ASKED_FOR = ("TresPerJob", "TresPerNode", "TresPerSocket", "TresPerTask")


def groups(said: str, job: str) -> list[Fields]:
    """The fields of each group of a job, in their order; none where Slurm has forgotten it.

    Of an array Slurm tells all jobs, of which this gives the one.
    """
    blocks = [fields(block) for block in re.split(r"\n\s*\n", said)]
    found = [block for block in blocks if job in (block.get("JobId"), block.get("HetJobId"))]
    return sorted(found, key=lambda block: int(block.get("HetJobOffset", 0)))


def fields(block: str) -> Fields:
    """The fields of one block; the first of a name counts. A job's name may have blanks, as a folder's may."""
    found: dict[str, str] = {}
    for text in block.splitlines():
        line, _, job_name = text.strip().partition(" JobName=")
        if job_name:
            found.setdefault("JobName", job_name)
        name, _, value = line.partition("=")
        pairs = [(name, value)] if name in WHOLE_LINES else re.findall(r"(\S+?)=(\S*)", line)
        for key, content in pairs:
            found.setdefault(key, content)
    return found


def gpus(of: Fields) -> int:
    """All GPUs of a group: those it has, where the site counts them, else those it asked for."""
    return _allocated(of) or _asked_for(of)


def _allocated(of: Fields) -> int:
    """From the resources it has: AllocTRES since 23.02, TRES before; with a type, without, or both."""
    tres = of.get("AllocTRES") or of.get("TRES") or ""
    counts = re.findall(r"gres/gpu(:[^=,]+)?=(\d+)", tres)
    plain = [int(number) for kind, number in counts if not kind]
    return plain[0] if plain else sum(int(number) for _, number in counts)


def _asked_for(of: Fields) -> int:
    """From the request: gres:gpu:1, gres/gpu:a100:1, gpu:1 or gres/gpu=1; without a number, one."""
    nodes = first_number(of.get("NumNodes", "1"))
    times = {"TresPerNode": nodes, "TresPerSocket": nodes, "TresPerTask": first_number(of.get("NumTasks", "1"))}
    for name in ASKED_FOR:
        asked = [part for part in of.get(name, "").split(",") if re.match(r"(gres[:/])?gpu(?![^:=])", part)]
        if asked:
            return sum(_number(part) for part in asked) * times.get(name, 1)
    return 0


def _number(asked: str) -> int:
    found = re.search(r"[:=](\d+)(\(.*\))?$", asked)
    return int(found[1]) if found else 1


def gpus_of_a_node(of: Fields) -> int:
    """The GPUs that each node of a group has; where they differ, the most."""
    return math.ceil(gpus(of) / max(1, first_number(of.get("NumNodes", "1"))))


def first_number(text: str) -> int:
    """The number at the start of a range, as in 1-4; 1 for what is none."""
    found = re.match(r"\d+", text)
    return int(found[0]) if found else 1


def epoch(time: str) -> Optional[int]:
    """Seconds since the epoch; None for what is no time, as Unknown.

    With SLURM_TIME_FORMAT=%s Slurm tells just these; its usual form is the local time.
    """
    if time.isdecimal():
        return int(time)
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except ValueError:
        return None

"""What a job is doing, from what Slurm says of it and from its folder."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlsif.cluster.job import ENDED, FORMING, LOGS, JobFolder
from rlsif.errors import counted
from rlsif.slurm.folder import is_local, local_process
from rlsif.slurm.scontrol import Fields, gpus

SAMPLED, EVALUATED = "env_runners/episode_return_mean", "evaluation/episode_return_mean"


def describe(found: list[Fields], folder: Path) -> str:
    """A few lines for a terminal."""
    meeting = JobFolder(folder).rendezvous() if folder.is_dir() else None
    if not found:
        # Slurm knows nothing of a job that runs without it.
        reached = meeting.state if meeting and is_local(folder) else ENDED
        phase = reached if reached != ENDED else FORMING if local_process(folder) else "over"
        return "\n".join([f"job {folder.name}: {phase}", *_progress(folder)])
    first = found[0]
    state, reason = first["JobState"], first.get("Reason", "None")
    phase = meeting.state if meeting and state == "RUNNING" else reason if state == "PENDING" else ""
    lines = [f"job {first['JobId']}: {state}{f', {phase}' if phase else ''}, {_time_left(first)}"]
    lines += [_group(role, fields) for role, fields in zip(_roles(found), found, strict=True)]
    if meeting and meeting.dashboard and state == "RUNNING":
        lines.append(textwrap.indent(meeting.dashboard, "  "))
    return "\n".join([*lines, *_progress(folder)])


def _roles(found: list[Fields]) -> list[str]:
    if len(found) == 3:
        return ["head", "rollout", "learner"]
    if len(found) > 1:
        return [f"group {number}" for number in range(len(found))]
    return ["all roles" if found[0].get("NumNodes", "1") in ("1", "1-1") else "head, learner on the first; rollout"]


def _group(role: str, fields: Fields) -> str:
    nodes = fields.get("NodeList", "")
    where = nodes if nodes not in ("", "(null)") else f"{fields.get('NumNodes', '?')} nodes, not yet given"
    return f"  {role:8} {where}  {fields.get('NumCPUs', '?')} CPUs, {counted(gpus(fields), 'GPU')}"


def _progress(folder: Path) -> list[str]:
    """Where the run is, from its last row."""
    run = JobFolder(folder).run
    if not run.is_file():
        return [f"  no run yet; logs are in {folder / LOGS}"] if folder.is_dir() else []
    path = Path(run.read_text())
    rows = path / "result.json"
    whole = [text for text in (rows.read_text().splitlines() if rows.is_file() else []) if text.endswith("}")]
    if not whole:
        return [f"  no iteration yet; run {path}{_end(path)}"]
    row: dict[str, Any] = json.loads(whole[-1])
    mean = row[SAMPLED] if SAMPLED in row else _evaluated(whole)
    end, runners = _end(path), row.get("num_healthy_workers")
    return [
        f"  iteration {row['training_iteration']}, {row['num_env_steps_sampled_lifetime']:,} env steps,"
        f" return {'none yet' if mean is None else f'{mean:.1f}'}, {row['env_steps_per_s']:,.0f} steps/s"
        + ("" if end or runners is None else f", {counted(runners, 'env runner')} alive"),
        f"  run {path}{end}",
    ]


def _evaluated(rows: Sequence[str]) -> float | None:
    """The mean return of the last evaluation, of a run that samples nothing."""
    means = (json.loads(row).get(EVALUATED) for row in reversed(rows))
    return next((float(mean) for mean in means if mean is not None), None)


def _end(run: Path) -> str:
    """How the run ended, if it has."""
    try:
        summary = json.loads((run / "summary.json").read_text())
    except OSError:
        return ""
    state, reason = summary["state"], summary["stop_reason"]
    return f", {reason}" if reason.startswith(state) else f", {state}: {reason}"


def _time_left(fields: Fields) -> str:
    limit, used = _seconds(fields.get("TimeLimit", "")), _seconds(fields.get("RunTime", ""))
    if limit is None or used is None:
        return "no time limit"
    hours, rest = divmod(max(0, limit - used), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02} left"


def _seconds(text: str) -> int | None:
    """Seconds of Slurm's days-hours:minutes:seconds; None for what is no time."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

"""Measure another checkout beside this one, in turn, to see what a change of the code costs.

`make bench-versions BEFORE=FOLDER` runs it. The other checkout has its own rl.sif, and is measured by its own bench/.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.report import write
from rlsif.images.apptainer import find

CHECKOUT = Path(__file__).parents[1]
ROUNDS = 3
TO_475 = ["train", "--env", "CartPole-v1", "--stop-reward", "475", "--stop-time", "100"]


def figures(apptainer: Path, checkout: Path, seed: int) -> dict[str, float]:
    """One round of a checkout: name -> value."""
    inside = [apptainer, "exec", "--bind", checkout, checkout / "rl.sif"]
    bench = checkout / "bench"
    parts = _last_line([*inside, "python", bench / "parts.py", "1"], checkout)
    found = {name: places["ours"][0] for name, places in parts.items()}
    growth = _last_line([*inside, "python", bench / "growth.py", "2", "ours", str(time.time())], checkout)
    found |= {f"PPO on CartPole-v1, 2 env runners: {name}": value for name, value in growth.items()}
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        train = [*inside[:-1], "--bind", folder, inside[-1], *TO_475, "--seed", str(seed), "--results-dir", folder]
        subprocess.run(train, check=True, capture_output=True, cwd=checkout)
        found["CartPole-v1 to 475, whole command: s"] = time.monotonic() - began
    return found


def _last_line(command: list[Any], checkout: Path) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=checkout)
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, command))} failed: {done.stderr[-500:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _commit(checkout: Path) -> str:
    command = ["git", "-C", checkout, "log", "-1", "--format=%h of %ad", "--date=short"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def measure(before: Path) -> dict[str, Any]:
    """Every round of both, in turn."""
    apptainer = find()
    checkouts = {"before": before.resolve(), "now": CHECKOUT}
    missing = [str(place / "rl.sif") for place in checkouts.values() if not (place / "rl.sif").exists()]
    if missing or apptainer is None:
        raise SystemExit(f"error: {missing[0] if missing else 'Apptainer'} is missing; run `make image-cpu` first")
    rounds: dict[str, list[dict[str, float]]] = {which: [] for which in checkouts}
    for seed in range(ROUNDS):
        for which, checkout in checkouts.items():
            rounds[which].append(figures(apptainer.program, checkout, seed))
            print(f"round {seed}, {which}: {rounds[which][-1]}", file=sys.stderr, flush=True)
    shared = [name for name in rounds["now"][0] if name in rounds["before"][0]]
    return {
        "date": f"{datetime.now():%Y-%m-%d}",
        "machine": {"cpus": os.cpu_count(), "apptainer": apptainer.version},
        "commits": {which: _commit(checkout) for which, checkout in checkouts.items()},
        "figures": {name: {which: [one[name] for one in rounds[which]] for which in rounds} for name in shared},
    }


if __name__ == "__main__":
    write(measure(Path(sys.argv[1])), "versions")

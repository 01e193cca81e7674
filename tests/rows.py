"""The rows of runs: each iteration has one, in both of a run's tables, whatever happened to the run."""

import csv
import itertools
import json


def rows(run):
    """The rows of a run's result.json; a process that was killed may have cut the last line short."""
    return [json.loads(line) for line in (run / "result.json").read_text().splitlines() if line.endswith("}")]


def without_gap(rows):
    """Whether no iteration is missing or doubled, and each has env steps of its own."""
    iterations = [row["training_iteration"] for row in rows]
    steps = [row["num_env_steps_sampled_lifetime"] for row in rows]
    return iterations == list(range(1, len(rows) + 1)) and all(a < b for a, b in itertools.pairwise(steps))


def check_rows(folder):
    """Fail where a run at or below a folder has lost a row, or has one twice."""
    for file in folder.rglob("result.json"):
        kept = rows(file.parent)
        assert without_gap(kept), f"{file}: {[row['training_iteration'] for row in kept]}"
        with (file.parent / "progress.csv").open(newline="") as table:
            whole = csv.DictReader(line for line in table if line.endswith("\n"))
            iterations = [int(row["training_iteration"]) for row in whole]
        # Killed between the two, a run has written one of them.
        assert iterations == list(range(1, len(iterations) + 1)) and len(kept) - len(iterations) in (0, 1), file

"""Records of measurements, and the page with their medians and ratios.

`python -m bench.report` writes the page anew from the newest records.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
LONGEST_TRAINING_S = 100
# A figure of parts.py.
UPDATE = "update of 2x64, batch 8192, minibatch 512, 6 epochs: samples/s"
# Into the learner's node, bytes a second.
NETWORK = 1e9


def write(record: Mapping[str, Any], kind: str) -> None:
    """Keep every raw figure in results/<kind>-<date>.json, and write README.md from the newest of each kind."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{kind}-{record['date']}.json").write_text(json.dumps(record, indent=1) + "\n")
    write_page()


def write_page() -> None:
    """Write README.md, and print it."""
    tables = {
        "machine": table_of_machine,
        "off-policy": table_of_off_policy,
        "cluster": table_of_cluster,
        "node-death": table_of_node_death,
        "environments": table_of_environments,
        "versions": table_of_versions,
    }
    records = {kind: sorted(RESULTS.glob(f"{kind}-*.json")) for kind in tables}
    text = "".join(table(json.loads(records[kind][-1].read_text())) for kind, table in tables.items() if records[kind])
    (HERE / "README.md").write_text(text)
    print(text)


def spread(values: list[float | None], unit: str = "s", longest: int = LONGEST_TRAINING_S) -> str:
    """`median (min to max)`, with how many did not get there in so many seconds."""
    there = [v for v in values if v is not None]
    missing = (
        f", {len(values) - len(there)} of {len(values)} not within {longest} s" if len(there) < len(values) else ""
    )
    if not there:
        return f"none of {len(values)} within {longest} s"
    low, mid, high = min(there), statistics.median(there), max(there)
    digits = 0 if mid >= 100 else 1
    return f"{mid:,.{digits}f} {unit} ({low:,.{digits}f} to {high:,.{digits}f}){missing}".replace("  ", " ")


def ratio(one: list[float | None], other: list[float | None]) -> str:
    """The ratio of two medians, where both have one."""
    if any(v is None for v in [*one, *other]):
        return "-"
    return f"{statistics.median(one) / statistics.median(other):.2f}"  # type: ignore[type-var, operator]


def row(*cells: str) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def head(*titles: str) -> list[str]:
    """The lines that begin a table."""
    return ["", row(*titles), "|---" * len(titles) + "|"]


def table_of_machine(record: Mapping[str, Any]) -> str:
    """The record as Markdown."""
    image, start, cartpole, machine = (record[key] for key in ("image", "start_up", "cartpole", "machine"))
    lines = [
        "# Speed",
        "",
        f"Measured on {record['date']} by `make bench`, on {machine['cpus']} cores with Apptainer",
        f"{machine['apptainer']}. The image is mounted through FUSE, as for an ordinary user. The tables show medians,",
        "with minimum and maximum in brackets. The peers ran in the same session, in turn.",
        "[results](results) has the raw figures.",
        *head("image", ""),
        row("size of rl.sif", f"{image['size_mb']:.0f} MB"),
        row("time to build it", f"{image['seconds']:.0f} s ({image['sources']})"),
        *head("start-up, one mount per command", "image", "unpacked", "ratio"),
    ]
    for name, places in start.items():
        mounted, unpacked = places["image"], places["unpacked"]
        lines.append(row(name, spread(mounted), spread(unpacked), ratio(mounted, unpacked)))
    lines += head("CartPole-v1 to a mean return of 475", "training", "whole command", "against `train`", "env-steps/s")
    first = [r["whole_s"] for r in cartpole["train"]]
    for name, rounds in cartpole.items():
        training, whole, rate = ([r[key] for r in rounds] for key in ("training_s", "whole_s", "env_steps_per_s"))
        lines.append(row(name, spread(training), spread(whole), ratio(whole, first), spread(rate, "")))
    lines += head("each part alone, one env runner, network 64x64", "rlsif", "RLlib", "ratio")
    for name, places in record["parts"].items():
        ours, peers = places["ours"], places["rllib"]
        lines.append(row(name, spread(ours, ""), spread(peers, ""), ratio(ours, peers)))
    names = list(next(iter(record["growth"].values())))
    lines += head("PPO on CartPole-v1", *names)
    for way, figures in record["growth"].items():
        lines.append(row(way, *(spread(figures[name], "").strip() for name in names)))
    lines += curve(record)
    return "\n".join(lines) + "\n"


def curve(record: Mapping[str, Any]) -> list[str]:
    """Steps a second that the measured parts of PPO add up to for many env runners, and where its learner is the limit.

    An iteration samples, ships and learns one after the other, so that the times of an env step add up. Assumed: a
    network of 1 GB/s into the learner, a learner as measured, env runners that do not wait for each other.
    """
    parts = record["parts"]
    learner = statistics.median(parts[UPDATE]["ours"])
    kinds = {
        "CartPole-v1": statistics.median(parts["CartPole-v1 (own vector entry point): env-steps/s"]["ours"]),
        "Acrobot-v1": statistics.median(parts["Acrobot-v1 (one after the other): env-steps/s"]["ours"]),
        "an environment of 1 ms a step": 1000.0,
    }
    size = statistics.median(parts["CartPole-v1 (own vector entry point): bytes a step"]["ours"])
    counts = (1, 10, 36, 100, 360, 1000)
    lines = head("computed for PPO, env-steps/s", "learner's limit", *(f"{n} env runners" for n in counts))
    for kind, rate in kinds.items():
        values = [1 / (1 / (n * rate) + size / NETWORK + 1 / learner) for n in counts]
        lines.append(row(kind, *(f"{value:,.0f}" for value in (learner, *values))))
    return lines


def table_of_off_policy(record: Mapping[str, Any]) -> str:
    """DQN and SAC beside their peers as Markdown."""
    machine, longest = record["machine"], record["longest_s"]
    lines = [
        "",
        "## DQN and SAC",
        "",
        f"Measured on {record['date']} by `make bench-off-policy` on {machine['cpus']} cores, the ways in turn.",
        "rlsif has one env runner beside the learner. The rates are those of equal networks, batches and updates",
        "per env step, after all have compiled.",
    ]
    if record["goals"]:
        lines.append("Goals are mean returns over 100 episodes, by each library's preset: rl-zoo's for the peers.")
    for task, ways in record["rates"].items():
        ours = [r["updates/s"] for r in ways["rlsif"]]
        lines += head(task, "env-steps/s", "updates/s", "rlsif's to theirs")
        for way, rounds in ways.items():
            steps, updates = ([r[name] for r in rounds] for name in ("env-steps/s", "updates/s"))
            lines.append(row(way, spread(steps, ""), spread(updates, ""), ratio(ours, updates)))
    for goal, ways in record["goals"].items():
        ours = [r["training_s"] for r in ways["rlsif"]]
        lines += head(goal, "training", "env steps", "theirs to rlsif's")
        for way, rounds in ways.items():
            seconds, steps = ([r[name] for r in rounds] for name in ("training_s", "env_steps"))
            lines.append(row(way, spread(seconds, longest=longest), spread(steps, ""), ratio(seconds, ours)))
    return "\n".join(lines) + "\n"


def table_of_cluster(record: Mapping[str, Any]) -> str:
    """The bring-up of clusters as Markdown."""
    ways = list(next(iter(record["bring_up"].values())))
    lines = [
        "",
        "## Start of a cluster",
        "",
        f"Measured on {record['date']} by `make bench-cluster`: a job with a head, rollout nodes and a learner node.",
        f"All nodes of the test cluster share the {record['machine']['cpus']} cores of one machine, so each node",
        "slows the others. Times count from the first line of the batch script. The two scripts ran in turn.",
        *head(
            "rollout nodes",
            *(title for way in ways for title in (f"{way}: all nodes joined", "first iteration")),
            "ratio",
        ),
    ]
    for nodes, figures in record["bring_up"].items():
        cells = [spread(figures[way][phase]) for way in ways for phase in ("joined", "first_iteration")]
        first = [figures[way]["first_iteration"] for way in ways]
        lines.append(row(nodes, *cells, ratio(first[1], first[0])))
    return "\n".join(lines) + "\n"


def table_of_node_death(record: Mapping[str, Any]) -> str:
    """What the death of a node costs, as Markdown."""
    whens = list(next(iter(record["node_death"].values())))
    lines = [
        "",
        "## Death of a rollout node",
        "",
        f"Measured on {record['date']} by `make bench-node-death`: PPO on CartPole-v1 with",
        "default settings, env-steps/s in the 20 s before a rollout node is powered off, in the next 20 s, and in",
        "the 20 s after those.",
        f"All nodes share the {record['machine']['cpus']} cores of one machine; those left get more of them.",
        f"The machine's load was {record['machine']['load_before']:.1f} before the cluster was booted.",
        *head("job", *whens),
    ]
    for job, figures in record["node_death"].items():
        lines.append(row(job, *(spread(figures[when], "") for when in whens)))
    return "\n".join(lines) + "\n"


def table_of_environments(record: Mapping[str, Any]) -> str:
    """The record of environments of the extras as Markdown."""
    lines = [
        "",
        "## Environments",
        "",
        f"Measured on {record['date']} by `make bench-environments` on {record['machine']['cpus']} cores.",
        *head(
            "env-steps/s on one core", "plain loop, random actions", "env runner, as they reach the learner", "ratio"
        ),
    ]
    for name, of in record["rates"].items():
        lines.append(row(name, *beside(of["plain loop"], of["env runner"])))
    lines += head(
        "agent-steps/s on one core, agents share a policy", "plain loop, random actions", "env runner", "ratio",
        "RLlib's env runner", "ratio",
    )  # fmt: skip
    for name, of in record["agents"].items():
        loop, runner, theirs = of["plain loop"], of["env runner"], of["RLlib"]
        lines.append(row(name, *beside(loop, runner), spread(theirs, ""), ratio(runner, theirs)))
    lines += head(
        "env-steps/s of PPO on two cores, same batch, minibatch, epochs", "rlsif", "Stable-Baselines3, DummyVecEnv",
        "SubprocVecEnv", "to the faster",
    )  # fmt: skip
    for name, of in record["trainings"].items():
        faster = max(of["dummy"], of["subproc"], key=statistics.median)
        rates = (spread(of[which], "") for which in ("rlsif", "dummy", "subproc"))
        lines.append(row(name, *rates, ratio(of["rlsif"], faster)))
    return "\n".join(lines) + "\n"


def beside(one: list[float | None], other: list[float | None]) -> tuple[str, str, str]:
    """Cells of two columns, and the ratio of the second to the first."""
    return spread(one, ""), spread(other, ""), ratio(other, one)


def table_of_versions(record: Mapping[str, Any]) -> str:
    """The record of two versions as Markdown."""
    commits = record["commits"]
    lines = [
        "",
        "## Two versions in turn",
        "",
        f"Measured on {record['date']} by `make bench-versions` on {record['machine']['cpus']} cores: commit"
        f" {commits['before']} beside",
        f"commit {commits['now']}, each in its own image, {len(next(iter(record['figures'].values()))['now'])} rounds.",
        *head("what", "before", "now", "now to before"),
    ]
    for name, of in record["figures"].items():
        lines.append(row(name, *beside(of["before"], of["now"])))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_page()

"""One HTML file about a run, with its pictures inside: it opens without a network, at any time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from rlsif.envs.find import ONE
from rlsif.errors import InputError
from rlsif.files import replace
from rlsif.runs import curves
from rlsif.runs.record import SECONDS, STEPS, Run, flat
from rlsif.runs.table import number
from rlsif.training import checkpoints, results

RATE, SECONDS_EACH, WALL, RUNNERS = "env_steps_per_s", "time_this_iter_s", "timestamp", "num_healthy_workers"
# Of an iteration: what RLlib times, in milliseconds.
SHARES = {
    "sampling": "timers/sample_time_ms",
    "learning": "timers/learn_time_ms",
    "sending weights": "timers/synch_weights_time_ms",
}
STATISTICS = "info/learner/{policy}/learner_stats/{name}"
# Statistics of the learner that are drawn where a run has them, in this order.
DRAWN = (
    "total_loss",
    "policy_loss",
    "vf_loss",
    "entropy",
    "kl",
    "mean_q",
    "mean_td_error",
    "actor_loss",
    "critic_loss",
)
# Columns of a run with opponents, and of its evaluations, by what they have in words.
WON = {"win_rate": "win rate", "evaluation/win_rate": "win rate of an evaluation"}
AGENT = "agent_return/"
# Of so many agents a legend names each.
NAMED = 10
# Between two iterations, in seconds: more than this and ten times the usual is a pause.
PAUSE = 30.0


def write(run: Run, out: Path) -> None:
    """Write the report. Raises InputError for a run without iterations, and where the file cannot be written."""
    if not run.rows:
        raise InputError(f"run {run.folder} has no iteration yet, so that there is nothing to report")
    try:
        replace(out, html(run))
    except OSError as problem:
        raise InputError(f"--out {out} cannot be written: {problem.strerror}") from problem


def html(run: Run) -> str:
    """The report as a text."""
    import jinja2

    template = resources.files("rlsif").joinpath("runs/report.html").read_text()
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(template)
    pictures = [(heading, jinja2.utils.markupsafe.Markup(_svg(picture))) for heading, picture in _pictures(run)]
    return str(
        page.render(
            title=f"{run.spec.algo} on {run.env}",
            state=run.state,
            folder=str(run.folder),
            reason=run.summary.get("stop_reason"),
            facts=_facts(run),
            pictures=pictures,
            tables=_tables(run),
            params=sorted((name, value) for name, value in flat(run.params).items() if not name.startswith("run.")),
        )
    )


def _facts(run: Run) -> list[tuple[str, str]]:
    steps, seconds, column = run.last(STEPS), run.last(SECONDS), run.return_column
    return [
        (curves.IN_WORDS[column], number(run.last(column), 1)),
        ("best mean return", number(max(run.series(STEPS, column)[1], default=None), 1)),
        ("env steps", number(steps)),
        ("training time", f"{number(seconds, 1)} s"),
        ("env steps/s", number(steps / seconds if steps and seconds else None)),
        ("iterations", number(run.last("training_iteration"))),
        *[(words, number(run.last(column), 2)) for column, words in WON.items() if run.last(column) is not None],
    ]


def _pictures(run: Run) -> list[tuple[str, Any]]:
    drawn = [("Learning", _learning(run))]
    if _agents(run):
        drawn.append(("Agents", _of_agents(run)))
    statistics = [name for name in DRAWN if _of_policies(run, name)]
    if statistics:
        drawn.append(("The learner", _statistics(run, statistics)))
    drawn.append(("Where the time goes", _time(run)))
    if run.last(WALL) is not None:
        drawn.append(("Timeline", _timeline(run)))
    return drawn


def _learning(run: Run) -> Any:
    """Return against env steps and time, with the band from the worst episode to the best."""
    figure, panels = _panels(2, share_y=True)
    for panel, x in zip(panels, (STEPS, SECONDS)):
        column = run.return_column
        lows, highs = (run.series(x, column.replace("_mean", bound)) for bound in ("_min", "_max"))
        panel.fill_between(
            lows[0], lows[1], highs[1], color="C0", alpha=0.15, linewidth=0, label="worst to best episode"
        )
        panel.plot(*run.series(x, column), color="C0", label=curves.IN_WORDS[column])
        panel.set_xlabel(curves.IN_WORDS[x])
    panels[0].set_ylabel("return")
    panels[0].legend(frameon=False, loc="upper left")
    return figure


def _agents(run: Run) -> list[str]:
    """The agents of an environment of many."""
    return list(dict.fromkeys(name.removeprefix(AGENT) for row in run.rows for name in row if name.startswith(AGENT)))


def _of_agents(run: Run) -> Any:
    """The return of each agent, and how many episodes were won where there was an opponent."""
    won, agents = [column for column in WON if run.last(column) is not None], _agents(run)
    figure, panels = _panels(2 if won else 1)
    for agent in agents:
        panels[0].plot(*run.series(STEPS, f"{AGENT}{agent}"), label=agent)
    panels[0].set_title("mean return", loc="left")
    for column in won:
        panels[1].plot(*run.series(STEPS, column), label=WON[column])
    if won:
        panels[1].set_ylim(-0.05, 1.05)
        panels[1].set_title("episodes won", loc="left")
    for panel, labels in zip(panels, (agents, won)):
        panel.set_xlabel(curves.IN_WORDS[STEPS])
        if len(labels) <= NAMED:
            panel.legend(frameon=False)
    return figure


def _of_policies(run: Run, name: str) -> dict[str, str]:
    """The columns that have a statistic of the learner, by the policies that have it."""
    policies = run.spec.policies.names if run.spec.policies else [ONE]
    columns = {policy: STATISTICS.format(policy=policy, name=name) for policy in policies}
    return {policy: column for policy, column in columns.items() if run.last(column) is not None}


def _statistics(run: Run, names: Sequence[str]) -> Any:
    figure, panels = _panels(len(names), columns=3)
    for panel, name in zip(panels, names):
        columns = _of_policies(run, name)
        for place, (policy, column) in enumerate(columns.items(), 1):
            panel.plot(*run.series(STEPS, column), color=f"C{place}", label=policy)
        if 1 < len(columns) <= NAMED:
            panel.legend(frameon=False)
        panel.set_title(name, loc="left")
        panel.set_xlabel(curves.IN_WORDS[STEPS])
    return figure


def _time(run: Run) -> Any:
    """Steps a second, and the shares of an iteration that RLlib times."""
    figure, panels = _panels(2)
    panels[0].plot(*run.series(STEPS, RATE), color="C2")
    panels[0].set_title("env steps/s", loc="left")
    rows = [row for row in run.rows if all(row.get(column) is not None for column in SHARES.values())]
    steps = [row[STEPS] for row in rows]
    # RLlib gives running means, which may be more than the one iteration took.
    whole = [max(1000 * row[SECONDS_EACH], sum(row[column] for column in SHARES.values())) for row in rows]
    shares = [[100 * row[column] / all_ for row, all_ in zip(rows, whole)] for column in SHARES.values()]
    panels[1].stackplot(steps, *shares, labels=list(SHARES), alpha=0.8)
    panels[1].set_ylim(0, 100)
    panels[1].set_title("share of an iteration, %", loc="left")
    panels[1].legend(loc="upper right", framealpha=0.9)
    for panel in panels:
        panel.set_xlabel(curves.IN_WORDS[STEPS])
    return figure


def _timeline(run: Run) -> Any:
    """When it ran, when it paused, its checkpoints, and how many env runners were alive."""
    import matplotlib.dates as dates

    figure, [panel] = _panels(1, height=2.4)
    rows = [row for row in run.rows if row.get(WALL) is not None]
    for part in running(rows):
        times = [datetime.fromtimestamp(row[WALL]) for row in part]
        panel.axvspan(times[0], times[-1], color="C0", alpha=0.12, linewidth=0)
        panel.plot(times, [row.get(RUNNERS, 0) for row in part], color="C0", drawstyle="steps-post")
    at = {row["training_iteration"]: row for row in rows}
    kept = [
        checkpoints.read(path).training_iteration for path in checkpoints.complete(run.folder / results.CHECKPOINTS)
    ]
    marks = [at[iteration] for iteration in kept if iteration in at]
    panel.plot(
        [datetime.fromtimestamp(row[WALL]) for row in marks], [row.get(RUNNERS, 0) for row in marks], "o", color="C3",
        label="checkpoint",
    )  # fmt: skip
    panel.xaxis.set_major_formatter(dates.ConciseDateFormatter(panel.xaxis.get_major_locator()))
    panel.set_ylim(0, 1.15 * max(1, *(row.get(RUNNERS, 0) for row in rows)))
    panel.yaxis.get_major_locator().set_params(integer=True)
    panel.set_ylabel("env runners alive")
    panel.legend(frameon=False, loc="lower right")
    return figure


def running(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The stretches of rows without a pause between them, as a job that was requeued has."""
    seconds = sorted(row[SECONDS_EACH] for row in rows)
    pause = max(PAUSE, 10 * seconds[len(seconds) // 2])
    parts = [[rows[0]]]
    for before, row in zip(rows, rows[1:]):
        if row[WALL] - before[WALL] > pause:
            parts.append([])
        parts[-1].append(row)
    return parts


def _tables(run: Run) -> list[tuple[str, list[tuple[str, Any]]]]:
    spec = run.spec
    what = [("algorithm", spec.algo), ("environment", spec.env), ("framework", spec.framework), ("seed", spec.seed)]
    if spec.opponent:
        what.append(("opponent", spec.opponent))
    of_agents = spec.policies.of_agents.items() if spec.policies else ()
    tables = [
        ("Run", [*what, *flat(spec.env.arguments).items()]),
        ("Policies", [(agent, _in_words(policy, run)) for agent, policy in of_agents]),
        ("Hyperparameters", [*flat(spec.hyperparameters).items()]),
    ]
    tables.append(("Resources", [*run.params.get("resources", {}).items()]))
    tables.append(("Versions", [*run.params["run"].get("versions", {}).items()]))
    return [(caption, rows) for caption, rows in tables if rows]


def _in_words(policy: str, run: Run) -> str:
    """The policy of an agent, and whether it learns."""
    assert run.spec.policies is not None
    return policy if policy in run.spec.policies.train else f"{policy}, which does not learn"


def _panels(number_: int, columns: int = 2, height: float = 3.4, share_y: bool = False) -> tuple[Any, list[Any]]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.fonttype"] = "none"
    columns = min(columns, number_)
    rows = -(-number_ // columns)
    figure = Figure(figsize=(10, height * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=share_y).flat)
    for panel in panels[number_:]:
        panel.set_axis_off()
    for panel in panels:
        panel.xaxis.get_major_locator().set_params(nbins=5)
        panel.xaxis.set_major_formatter(curves.thousands)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels[:number_]


def _svg(figure: Any) -> str:
    """A figure as the SVG element alone."""
    text = io.StringIO()
    with warnings.catch_warnings():
        # The browser has letters that matplotlib's font has not.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]

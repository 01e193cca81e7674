"""From what the user asked for to a sweep that can start; everything wrong is refused here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rlsif.cluster.resources import Cluster, Resources
from rlsif.envs.duel import RANDOM
from rlsif.envs.find import FoundEnv, find
from rlsif.envs.patience import PATIENCE
from rlsif.errors import InputError, check_at_least
from rlsif.files import replace as replace_file
from rlsif.learning import assignment, catalogue, own_network
from rlsif.learning.settings import check_hyperparameters
from rlsif.learning.spec import Layout, RunSpec, from_json
from rlsif.sampling.opponents import SELF
from rlsif.sweep.space import Dimension, at, dimensions, drawn_between, examples
from rlsif.training import results
from rlsif.training.options import TrainOptions, check_gpus
from rlsif.training.plan import Plan, check_env_processes, make_plan
from rlsif.training.stopping import Stop

SWEEP = "sweep.json"
SCHEDULERS = ("asha", "pbt")


@dataclass(frozen=True)
class SweepOptions:
    """The options of `sweep`, as given."""

    # What every trial trains, and until when.
    base: TrainOptions
    grid: tuple[str, ...] = ()
    sample: tuple[str, ...] = ()
    num_samples: int = 1
    scheduler: str | None = None
    cpus_per_trial: int = 1
    gpus_per_trial: float = 0.0
    resume: Path | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without the machine. Raises InputError."""
        check_at_least(
            {
                "--num-samples": (self.num_samples, 1),
                "--cpus-per-trial": (self.cpus_per_trial, 1),
                "--gpus-per-trial": (self.gpus_per_trial, 0),
            }
        )
        check_gpus("--gpus-per-trial", self.gpus_per_trial)
        if self.scheduler not in (None, *SCHEDULERS):
            raise InputError(
                f"--scheduler is {self.scheduler!r}; it must be asha (ends bad trials early) or pbt (the worse take"
                " over from the better)"
            )


@dataclass(frozen=True)
class Sweep:
    """A sweep that can start, or be resumed."""

    folder: Path
    spec: RunSpec
    env: FoundEnv
    layout: Layout
    stop: Stop
    searched: list[Dimension]
    num_samples: int
    scheduler: str | None
    # Seconds; an environment that makes no step for so long ends its trial.
    env_timeout: float = PATIENCE
    resumed: bool = False
    # On the nodes of a job: trials sit on those with the role "rollout".
    by_role: bool = False

    @property
    def trials(self) -> int:
        """How many there will be: every point of the grid, so many times."""
        points = self.num_samples
        for dimension in self.searched:
            points *= len(dimension.arguments) if dimension.kind == "grid" else 1
        return points


def new(options: SweepOptions, there: Resources | Cluster) -> Sweep:
    """A new sweep, with a folder. Raises InputError."""
    searched = dimensions(options.grid, options.sample)
    algorithm = catalogue.find(options.base.algo or catalogue.DEFAULT, options.base.framework or "tf")
    if algorithm.offline:
        raise InputError(
            f"--algo {algorithm.name}: a sweep compares trials by the returns of their training, and"
            f" {algorithm.name} samples none; give `train` one setting after the other, and `compare` the runs"
        )
    if options.base.opponent == SELF:
        raise InputError(
            f"--opponent {SELF}: a sweep compares trials by the returns of their training, and each would have other"
            f" opponents; use {RANDOM} or another run"
        )
    algo = algorithm.name
    network = own_network.named(options.base.network) if options.base.network else None
    for example in examples(searched):
        own_network.check(algorithm, network, example)
    checked = iter(check_hyperparameters(algo, *examples(searched), *drawn_between(searched)))
    searched = [replace(d, arguments=tuple(at(next(checked), d.name) for _ in d.arguments)) for d in searched]
    cpus = there.cpus if isinstance(there, Resources) else there.rollout_cpus
    gpus = there.gpus if isinstance(there, Resources) else there.learner_gpus
    for name, asked, has in (("cpus", options.cpus_per_trial, cpus), ("gpus", options.gpus_per_trial, gpus)):
        if asked > has:
            raise InputError(f"--{name}-per-trial is {asked:g}, but there are {has}; a trial must fit")
    _check_scheduler(options)
    one = replace(options.base, num_cpus=None, num_env_runners=0, num_gpus=0, env_processes=None)
    plan = make_plan(one)
    layout = _of_a_trial(options, plan)
    folder = results.new_folder(options.base.results_dir, f"sweep_{algo}", plan.spec.env)
    searching = searched, options.num_samples, options.scheduler
    planned = Sweep(folder, plan.spec, plan.env, layout, plan.stop, *searching, options.base.env_timeout)
    replace_file(folder / SWEEP, json.dumps(_as_json(planned), indent=2))
    return planned


def _of_a_trial(options: SweepOptions, plan: Plan) -> Layout:
    """The processes of a trial. Raises InputError for more than it has cores."""
    cpus, processes = options.cpus_per_trial, options.base.env_processes or 0
    if processes > cpus:
        raise InputError(f"--env-processes is {processes}, and --cpus-per-trial {cpus}; a process needs a core")
    layout = replace(
        plan.layout,
        num_env_runners=(cpus - 1) // (processes or 1),
        num_gpus=options.gpus_per_trial,
        learner_threads=cpus,
        env_processes=processes,
    )
    check_env_processes(layout, plan.env)
    return layout


def _check_scheduler(options: SweepOptions) -> None:
    stop = options.base.stop
    if options.scheduler and stop.timesteps is None and stop.iters is None:
        raise InputError(
            f"--scheduler {options.scheduler} compares trials of one length;"
            " give that of the longest, as --stop-timesteps 200000"
        )
    if options.scheduler == "pbt" and options.num_samples < 2:
        raise InputError("--scheduler pbt needs a population; give --num-samples 4 or more")


def resumed(options: SweepOptions) -> Sweep:
    """A sweep that is resumed. Raises InputError where there is none."""
    assert options.resume is not None
    folder = options.resume.expanduser().absolute()
    try:
        saved = json.loads((folder / SWEEP).read_text())
    except (OSError, ValueError) as problem:
        raise InputError(
            f"--resume {folder} is not the folder of a sweep; they lie under ~/ray_results/<env>/"
        ) from problem
    saved["spec"], saved["layout"], saved["stop"] = (
        from_json(saved["spec"]),
        Layout(**saved["layout"]),
        Stop(**saved["stop"]),
    )
    saved["searched"] = [Dimension(d["name"], d["kind"], tuple(d["arguments"])) for d in saved["searched"]]
    env = find(saved["spec"].env, assignment.of_run(saved["spec"].policies))
    if options.base.env_timeout != TrainOptions.env_timeout:
        saved["env_timeout"] = options.base.env_timeout
    return Sweep(**{**saved, "env": env, "folder": folder, "resumed": True})


def _as_json(planned: Sweep) -> dict[str, Any]:
    """As sweep.json has it; the environment is looked at again when the sweep is resumed."""
    fields = {name: value for name, value in vars(planned).items() if name != "env"}
    return {
        **fields,
        "folder": str(planned.folder),
        "spec": planned.spec.as_json(),
        "layout": asdict(planned.layout),
        "stop": asdict(planned.stop),
        "searched": [asdict(dimension) for dimension in planned.searched],
    }

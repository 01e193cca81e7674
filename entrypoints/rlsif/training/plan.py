"""From what the user asked for to a run that can start; everything wrong is refused here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rlsif.cluster.resources import Cluster, Resources, available
from rlsif.envs.find import FoundEnv, absolute, add_code_folder
from rlsif.envs.find import find as find_env
from rlsif.errors import InputError
from rlsif.learning import config as algorithms
from rlsif.learning import hyperparameters
from rlsif.learning.config import Layout, RunSpec
from rlsif.sampling.coverage import reason_against
from rlsif.training import checkpoints, results, saved, tracking
from rlsif.training.checkpoints import Progress
from rlsif.training.options import TrainOptions, cluster_layout, layout
from rlsif.training.stopping import Stop


@dataclass(frozen=True)
class Plan:
    """A run about to start: what to train, on what, until when, and from where."""

    spec: RunSpec
    layout: Layout
    # Of this machine; None for the nodes of a job.
    resources: Resources | None
    stop: Stop
    folder: Path | None
    checkpoint: Path | None
    progress: Progress | None


def make_plan(options: TrainOptions, cluster: Cluster | None = None) -> Plan:
    """The plan of a new run, or of one that goes on, here or on the nodes of a job. Raises InputError."""
    add_code_folder(str(options.code_folder))
    tracking.check(options.log_to)
    if options.resume is not None:
        return _resumed(options, cluster)
    if options.env is None:
        raise InputError("no environment is given; say one as in `train --env CartPole-v1`")
    algorithm = algorithms.find(options.algo or "PPO", options.framework or "tf")
    env_id = absolute(options.env)
    env_config = _env_config(options)
    env = find_env(env_id, env_config)
    algorithms.check_spaces(algorithm, options.env, env.action_space)
    given = _given_hyperparameters(options)
    if given:
        algorithms.check_hyperparameters(algorithm.name, given)
    merged = hyperparameters.merge(hyperparameters.preset(algorithm.name, options.env), given)
    envs = int(merged.pop("num_envs_per_env_runner", 1))
    framework, code = options.framework or "tf", str(options.code_folder)
    spec = RunSpec(algorithm.name, framework, env_id, env_config, code, options.seed, merged)
    processes, resources = _placed(options, cluster, envs, spec, env)
    return Plan(spec, processes, resources, options.stop.or_default(env.reward_threshold), None, None, None)


def _placed(
    options: TrainOptions, cluster: Cluster | None, envs: int, spec: RunSpec, env: FoundEnv
) -> tuple[Layout, Resources | None]:
    """The processes of the run, here or on a cluster's nodes, and how they sample."""
    placed: tuple[Layout, Resources | None]
    placed = (cluster_layout(options, cluster, envs), None) if cluster else layout(options, available(), envs)
    against = reason_against(spec.algo, env.observation_space, env.action_space, spec.hyperparameters)
    return replace(placed[0], rllib_samples=against), placed[1]


def _env_config(options: TrainOptions) -> dict[str, Any]:
    """The arguments that the environment is made with."""
    return hyperparameters.from_settings(options.env_settings, "--env-config", "gravity=9.8")


def _given_hyperparameters(options: TrainOptions) -> dict[str, Any]:
    from_file = hyperparameters.from_file(options.config_file) if options.config_file else {}
    return hyperparameters.merge(from_file, hyperparameters.from_settings(options.settings))


def _resumed(options: TrainOptions, cluster: Cluster | None) -> Plan:
    """The plan of a run that goes on. Raises InputError where options contradict the run."""
    assert options.resume is not None
    checkpoint = saved.checkpoint_of(options.resume, "--resume")
    progress = checkpoints.check(checkpoint)
    folder = checkpoint.parent.parent
    later = [p for p in checkpoints.complete(checkpoint.parent) if p.name > checkpoint.name]
    if later:
        raise InputError(
            f"checkpoint {checkpoint.name} is not the last of its run, {later[-1].name} is;"
            f" resume {folder}, or move the later ones away first"
        )
    spec = saved.spec_of(folder)
    add_code_folder(spec.code_folder)
    asked_env = absolute(options.env) if options.env else None
    asked_config = _env_config(options) or None
    for name, asked, is_ in (
        ("--env", asked_env, spec.env),
        ("--env-config", asked_config, dict(spec.env_config)),
        ("--framework", options.framework, spec.framework),
    ):
        if asked is not None and asked != is_:
            raise InputError(
                f"{name} is {asked}, but {checkpoint} is of {is_}; leave {name} out to go on with that run"
            )
    if options.algo is not None and options.algo.upper() != spec.algo:
        raise InputError(
            f"--algo is {options.algo}, but {checkpoint} is of {spec.algo}; leave --algo out to go on with that run"
        )
    if options.seed is not None and options.seed != spec.seed:
        raise InputError(f"--seed is {options.seed}, but the run has {spec.seed}; leave --seed out")
    given = _given_hyperparameters(options)
    if given:
        algorithms.check_hyperparameters(spec.algo, given)
        spec = RunSpec(**{**asdict(spec), "hyperparameters": hyperparameters.merge(spec.hyperparameters, given)})
    env = find_env(spec.env, dict(spec.env_config))
    stop = options.stop.or_default(env.reward_threshold)
    last = next(
        (r for r in reversed(results.read_rows(folder)) if r["training_iteration"] == progress.training_iteration), None
    )
    if last:
        stop.check_not_reached(last)
    envs = json.loads((folder / results.PARAMS).read_text()).get("num_envs_per_env_runner", 1)
    processes, resources = _placed(options, cluster, envs, spec, env)
    return Plan(spec, processes, resources, stop, folder, checkpoint, progress)

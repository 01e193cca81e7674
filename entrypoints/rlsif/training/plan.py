"""From what the user asked for to a run that can start; everything wrong is refused here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlsif.cluster.resources import Cluster, Resources, available
from rlsif.envs import recorded, vector
from rlsif.envs.code import add_code_folder
from rlsif.envs.find import ONE, FoundEnv
from rlsif.envs.find import find as find_env
from rlsif.envs.reference import EnvRef, WrapperRef, parse
from rlsif.errors import InputError, counted
from rlsif.learning import assignment, catalogue, hyperparameters, own_network, rllib_callbacks
from rlsif.learning.descriptor import Algorithm
from rlsif.learning.settings import check_hyperparameters, rehearse, resolve
from rlsif.learning.spec import FLOAT32, Layout, ManyPolicies, RunSpec, check_sampler
from rlsif.sampling.opponents import SELF
from rlsif.training import callbacks, checkpoints, opponents, results, saved, tracking
from rlsif.training.checkpoints import Progress
from rlsif.training.options import (
    TrainOptions,
    check_evaluated,
    check_precision,
    cluster_layout,
    layout,
    of_offline,
    offline_layout,
)
from rlsif.training.stopping import Stop
from rlsif.values import env_arguments, from_settings, merge, of_yaml_file, wrapper_arguments

# Hyperparameters that decide the shapes of the weights.
OF_THE_NETWORK = ("model", "hiddens", "dueling", "num_atoms", "q_model_config", "policy_model_config")


@dataclass(frozen=True)
class Plan:
    """A run about to start: what to train, on what, until when, and from where."""

    spec: RunSpec
    env: FoundEnv
    layout: Layout
    # Of this machine; None for the nodes of a job.
    resources: Resources | None
    stop: Stop
    folder: Path | None
    checkpoint: Path | None
    progress: Progress | None


def make_plan(options: TrainOptions, cluster: Cluster | None = None) -> Plan:
    """The plan of a new run, or of one that is resumed, here or on the nodes of a job. Raises InputError."""
    add_code_folder(str(options.code_folder))
    tracking.check(options.log_to)
    callbacks.check(options.callbacks)
    if options.resume is not None:
        return _resumed(options, cluster)
    if options.env is None:
        raise InputError("no environment is given; name one, as in `train --env CartPole-v1`")
    algorithm = catalogue.find(options.algo or catalogue.DEFAULT, options.framework or "tf")
    named = options.env
    options = _of_algorithm(options, algorithm)
    policies = assignment.told(options.policies or assignment.SHARED)
    env = find_env(_ref(options, named), assignment.by_option(policies), options.env_timeout)
    _check_agents(algorithm, env)
    many = _many_policies(options, policies, env)
    for view in env.views.values():
        catalogue.check_spaces(algorithm, env.ref.title, view.observations, view.actions)
    _check_input(algorithm, options.input, env)
    network = own_network.named(options.network) if options.network else None
    given = _given_hyperparameters(options, algorithm.name)
    own_network.check(algorithm, network, given)
    merged = merge(_preset(algorithm.name, env, network), given)
    envs = int(merged.pop("num_envs_per_env_runner", 1))
    scaled = bool(merged.pop("normalize_rewards", False))
    spec = RunSpec(
        algo=algorithm.name,
        framework=options.framework or "tf",
        env=env.ref,
        seed=options.seed,
        hyperparameters=merged,
        policies=many,
        input=_text(options.input),
        network=network,
        normalize_rewards=scaled if options.normalize_rewards is None else options.normalize_rewards,
        opponent=opponents.named(options.opponent),
    )
    spec = replace(spec, opponent_every=options.opponent_every or spec.opponent_every)
    opponents.check(options, spec, env, _rllib_samples)
    _check_rewards(spec, algorithm, env)
    processes, resources = _placed(options, cluster, envs, spec, env)
    stop = _ends(options, spec, env)
    return Plan(spec, env, processes, resources, stop, None, None, None)


def _preset(algo: str, env: FoundEnv, network: str | None) -> dict[str, Any]:
    """The preset's settings, without those of its network where the user has another."""
    preset = hyperparameters.preset(algo, env.ref.short, pixels=env.shows_pixels)
    return {name: value for name, value in preset.items() if name != "model" or network is None}


def _text(path: Path | None) -> str | None:
    return str(path.expanduser().absolute()) if path else None


def _of_algorithm(options: TrainOptions, algorithm: Algorithm) -> TrainOptions:
    """The options with those that an algorithm has of its own. Raises InputError for what it has no use for."""
    if algorithm.offline:
        return of_offline(options, algorithm.name)
    check_evaluated(options)
    if options.input:
        able = " or ".join(name for name, known in catalogue.catalogue().items() if known.offline)
        raise InputError(
            f"--input {options.input}: {algorithm.name} samples, and learns from no files; use --algo {able}"
        )
    return options


def _check_agents(algorithm: Algorithm, env: FoundEnv) -> None:
    if algorithm.offline and env.agents:
        raise InputError(
            f"{algorithm.name} learns from episodes of one agent, and {env.ref.short} has {len(env.agents)}"
        )


def _check_input(algorithm: Algorithm, given: Path | None, env: FoundEnv) -> None:
    """Refuse recorded episodes that are not there, or do not fit by their first lines. Raises InputError."""
    if not algorithm.offline:
        return
    if given is None:
        raise InputError(
            f"{algorithm.name} learns from recorded episodes, and none are given; name their folder, as in"
            " --input data/, which `evaluate RUN --record data/` writes"
        )
    recorded.check_first_lines(Path(str(_text(given))), env)


def _many_policies(options: TrainOptions, given: str, env: FoundEnv) -> ManyPolicies | None:
    """The policies of the run's agents; None where all share one. Raises InputError."""
    train = assignment.names_in(options.train_policies)
    assignment.check_trained(train, list(env.views))
    if not env.policies:
        return None
    return ManyPolicies.of(given, env.policies, train)


def _ref(options: TrainOptions, env: str) -> EnvRef:
    """What the user asked for, of an environment of this name. Raises InputError."""
    wrappers = wrapper_arguments(options.wrap)
    return parse(env, env_arguments(options.env_settings), options.code_folder, wrappers, options.atari)


def _placed(
    options: TrainOptions,
    cluster: Cluster | None,
    envs: int,
    spec: RunSpec,
    env: FoundEnv,
    progress: Progress | None = None,
) -> tuple[Layout, Resources | None]:
    """The processes of the run, here or on a cluster's nodes, and how they sample; it is resumed from `progress`."""
    placed: tuple[Layout, Resources | None]
    if cluster and catalogue.catalogue()[spec.algo].offline:
        placed = offline_layout(options, cluster), None
    else:
        placed = (cluster_layout(options, cluster, envs), None) if cluster else layout(options, available(), envs)
    resumed_at, tasks = (progress.training_iteration, bool(progress.task)) if progress else (0, False)
    planned = replace(
        placed[0], resumed_at=resumed_at, tasks=tasks or options.callbacks is not None, precision=options.precision
    )
    check_precision(planned, spec.framework)
    check_env_processes(planned, env)
    planned = replace(planned, rllib_samples=_rllib_samples(spec, planned, env))
    check_sampler(spec, planned)
    return planned, placed[1]


def _ends(options: TrainOptions, spec: RunSpec, env: FoundEnv) -> Stop:
    """When the run ends. Raises InputError for a return that would be against opponents that change."""
    stop, changing = options.stop, spec.opponent == SELF and not options.stop.by_evaluation
    if changing and stop.reward is not None:
        raise InputError(
            f"--stop-reward is {stop.reward:g}, and the run plays against earlier policies of its own, which get"
            " better, too; have it evaluated against chance, as by --evaluate-every 10, or use another --stop-..."
        )
    return stop.or_default(None if changing else env.reward_threshold)


def _check_rewards(spec: RunSpec, algorithm: Algorithm, env: FoundEnv) -> None:
    """Refuse a scale of rewards where old ones would have another, or nobody has one. Raises InputError."""
    if not spec.normalize_rewards:
        return
    if algorithm.offline or algorithm.replays:
        keeps = "recorded episodes" if algorithm.offline else "a replay buffer, whose rewards would have old scales"
        able = " or ".join(n for n, known in catalogue.catalogue().items() if not (known.offline or known.replays))
        raise InputError(f"--normalize-rewards: {algorithm.name} learns from {keeps}; use --algo {able}")
    if env.agents:
        raise InputError(
            f"--normalize-rewards is for environments of one agent, and {env.ref.short} has {len(env.agents)}"
        )


def check_env_processes(planned: Layout, env: FoundEnv) -> None:
    """Refuse processes for environments that cannot be in several. Raises InputError."""
    processes, copies = planned.env_processes, planned.num_envs_per_env_runner
    if not processes:
        return
    given = f"--env-processes is {processes}, and"
    if env.agents:
        raise InputError(
            f"{given} {env.ref.short} has {len(env.agents)} agents; environments of many agents are stepped in the env"
            " runner's own process: leave it out"
        )
    if vector.steps_together(env.ref):
        raise InputError(
            f"{given} {env.ref.short} steps all of its copies together, in a vector environment of its own; leave it"
            " out"
        )
    if processes > copies:
        raise InputError(
            f"{given} an env runner steps {counted(copies, 'environment')}; a process needs one at least: use"
            " fewer, or more environments by --num-envs-per-env-runner"
        )


def _rllib_samples(spec: RunSpec, planned: Layout, env: FoundEnv) -> str | None:
    """Why RLlib's own sampler is used; None where the one in NumPy is.

    RLlib is asked only where settings are not those of a preset, all of which are known to be covered.
    """
    if spec.network:
        return _own_network_acts(spec, planned, env)
    samples = not catalogue.catalogue()[spec.algo].offline
    found = (catalogue.known_against(spec.algo, view.observations) for view in env.views.values() if samples)
    against = next((reason for reason in found if reason), None)
    preset = hyperparameters.preset(spec.algo, spec.env.short, pixels=env.shows_pixels)
    for ours in hyperparameters.OWN:
        preset.pop(ours, None)
    if (dict(spec.hyperparameters) == preset and planned.precision == FLOAT32) or against:
        return against
    return resolve(spec, planned, env)


def _own_network_acts(spec: RunSpec, planned: Layout, env: FoundEnv) -> str | None:
    """Have the user's network act; give why RLlib samples, or None. Raises InputError where it cannot act."""
    acted = rehearse(spec, planned, env)
    if acted.fails:
        raise InputError(f"--model {spec.network} cannot be trained in {env.ref.title}: {acted.fails}")
    return acted.rllib_samples


def _given_hyperparameters(options: TrainOptions, algo: str) -> dict[str, Any]:
    """What the user gave by file and option, over the preset. Raises InputError."""
    from_file = of_yaml_file(options.config_file, "--config") if options.config_file else {}
    given = merge(from_file, from_settings(options.settings))
    if options.save_replay_buffer:
        given = merge(given, _buffer_in_checkpoints(algo))
    given = check_hyperparameters(algo, given)[0] if given else given
    return {**given, **_rllibs_callbacks(algo, given)}


def _rllibs_callbacks(algo: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The class of RLlib's callbacks among hyperparameters, found from every folder. Raises InputError."""
    name = given.get(rllib_callbacks.KEY)
    if name is None:
        return {}
    if catalogue.catalogue()[algo].offline:
        raise InputError(
            f"'callbacks' is {name!r}: RLlib calls them where it samples, and {algo} samples none; use --callbacks"
        )
    return {rllib_callbacks.KEY: rllib_callbacks.named(name)}


def _buffer_in_checkpoints(algo: str) -> dict[str, Any]:
    """The setting that keeps the replay buffer. Raises InputError for an algorithm without one."""
    have = [name for name, known in catalogue.catalogue().items() if known.replays]
    if algo not in have:
        raise InputError(f"--save-replay-buffer: {algo} has no replay buffer; {' and '.join(have)} have one")
    return {"store_buffer_in_checkpoints": True}


def _resumed(options: TrainOptions, cluster: Cluster | None) -> Plan:
    """The plan of a run that is resumed. Raises InputError where options contradict the run."""
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
    spec = _as_asked(options, saved.spec_of(folder), checkpoint)
    if options.input is None:
        saved.check_input(spec)
    algorithm = catalogue.catalogue()[spec.algo]
    options = _of_algorithm(options, algorithm)
    env = find_env(spec.env, assignment.of_run(spec.policies), options.env_timeout)
    saved.check_spaces(folder, env)
    _check_input(algorithm, Path(spec.input) if spec.input else None, env)
    stop = _ends(options, spec, env)
    last = next(
        (r for r in reversed(results.read_rows(folder)) if r["training_iteration"] == progress.training_iteration), None
    )
    if last:
        stop.check_not_reached(last)
    envs = json.loads((folder / results.PARAMS).read_text()).get("num_envs_per_env_runner", 1)
    processes, resources = _placed(options, cluster, envs, spec, env, progress)
    return Plan(spec, env, processes, resources, stop, folder, checkpoint, progress)


def _as_asked(options: TrainOptions, spec: RunSpec, checkpoint: Path) -> RunSpec:
    """The spec of a run that is resumed, with the hyperparameters given anew. Raises InputError for contradictions."""
    spec = saved.moved(spec, options.env, options.network, options.code_folder)
    asked = _ref(options, options.env or spec.env.name)
    for name, value, is_ in (
        ("--env", options.env and asked.name, spec.env.name),
        ("--env-config", dict(asked.arguments) or None, dict(spec.env.arguments)),
        ("--wrap", _in_words(asked.own_wrappers), _in_words(spec.env.own_wrappers)),
        ("--atari", options.atari, spec.env.atari),
        ("--framework", options.framework, spec.framework),
        ("--algo", options.algo.upper() if options.algo else None, spec.algo),
        ("--seed", options.seed, spec.seed),
        ("--normalize-rewards", options.normalize_rewards, spec.normalize_rewards),
        ("--opponent", opponents.as_asked(options.opponent, spec.opponent), spec.opponent or "none"),
        ("--opponent-every", options.opponent_every, spec.opponent_every if spec.opponent == SELF else "none"),
        *_policies_asked(options, spec.policies),
    ):
        if value is not None and value != is_:
            raise InputError(
                f"{name} is {value}, but the run of {checkpoint} has {is_}; leave {name} out to resume that run"
            )
    given = _given_hyperparameters(options, spec.algo)
    own_network.check(catalogue.catalogue()[spec.algo], spec.network, given)
    for name in OF_THE_NETWORK:
        before = spec.hyperparameters.get(name)
        wanted = merge({name: before}, given)[name]
        if name in given and wanted != before:
            of = before or "the defaults of RLlib"
            raise InputError(
                f"{name} is {wanted} now, but {checkpoint} has the weights of {of}; another network is a new run"
            )
    # Files may have moved, and more may have come.
    return replace(spec, hyperparameters=merge(spec.hyperparameters, given), input=_text(options.input) or spec.input)


def _policies_asked(options: TrainOptions, has: ManyPolicies | None) -> list[tuple[str, str | None, str]]:
    """What was asked of policies beside what a run has, by their options."""
    given = assignment.told(options.policies) if options.policies else None
    train = ",".join(sorted(assignment.names_in(options.train_policies))) or None
    return [
        ("--policies", given, has.given if has else assignment.SHARED),
        ("--train-policies", train, ",".join(sorted(has.train)) if has else ONE),
    ]


def _in_words(wrappers: Sequence[WrapperRef]) -> str | None:
    return ", ".join(map(str, wrappers)) or None

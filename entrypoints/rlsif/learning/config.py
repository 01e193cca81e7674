"""The algorithms of RLlib that work with TensorFlow, and how a run's settings become one of them.

RLlib has TensorFlow on its old API stack only. What is listed here trains, saves, restores
and goes on; what is known not to is refused before anything starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from rlsif.envs.find import find as find_env
from rlsif.envs.find import of_file
from rlsif.errors import InputError, RlsifError, near
from rlsif.learning.hyperparameters import check, merge

FRAMEWORKS = ("tf", "tf2")


@dataclass(frozen=True)
class Algorithm:
    """What an algorithm can do: frameworks, action spaces, and why not the rest."""

    name: str
    frameworks: tuple[str, ...]
    action_spaces: tuple[str, ...]
    note: str


ALGORITHMS = {
    a.name: a
    for a in (
        Algorithm("PPO", ("tf", "tf2"), ("Discrete", "MultiDiscrete", "Box"), "the default; steady on most tasks"),
        Algorithm(
            "APPO",
            ("tf", "tf2"),
            ("Discrete", "MultiDiscrete", "Box"),
            "PPO with sampling and learning apart; many runners",
        ),
        Algorithm("IMPALA", ("tf",), ("Discrete", "MultiDiscrete", "Box"), "with tf2, RLlib's learner waits for ever"),
        Algorithm("DQN", ("tf", "tf2"), ("Discrete",), "learns from few env steps; discrete actions"),
        Algorithm("SAC", ("tf",), ("Discrete", "Box"), "learns from few env steps; continuous actions"),
    )
}


@dataclass(frozen=True)
class RunSpec:
    """All that decides what is trained; a resumed run has the same one."""

    algo: str
    framework: str
    env: str
    env_config: Mapping[str, Any] = field(default_factory=dict)
    # Where every process finds the user's own modules.
    code_folder: str = "."
    seed: int | None = None
    # Hyperparameters that differ from RLlib's defaults, nested.
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """How many processes take part, and what each gets; may change when a run is resumed."""

    num_env_runners: int
    num_envs_per_env_runner: int
    num_gpus: float
    learner_threads: int
    local_mode: bool = False
    # Env runners go to nodes with the role "rollout", the learner to one with the role "learner".
    by_role: bool = False
    # Env runners come and go with the nodes that have the role.
    elastic: bool = False
    # Why RLlib's own sampler is used; None where the one without TensorFlow is.
    rllib_samples: str | None = None


def find(name: str, framework: str) -> Algorithm:
    """The algorithm of that name, in any case, if it works with the framework. Raises InputError."""
    algorithm = ALGORITHMS.get(name.upper())
    if algorithm is None:
        raise InputError(f"algorithm {name!r} is not one of {', '.join(ALGORITHMS)}{near(name.upper(), ALGORITHMS)}")
    if framework not in FRAMEWORKS:
        raise InputError(f"--framework is {framework!r}; it must be tf (graph, faster) or tf2 (eager)")
    if framework not in algorithm.frameworks:
        raise InputError(
            f"{algorithm.name} does not work with --framework {framework} ({algorithm.note}); use --framework tf"
        )
    return algorithm


def check_spaces(algorithm: Algorithm, env_id: str, action_space: Any) -> None:
    """Refuse an environment whose actions the algorithm cannot choose. Raises InputError."""
    kind = type(action_space).__name__
    if kind not in algorithm.action_spaces:
        able = [a.name for a in ALGORITHMS.values() if kind in a.action_spaces]
        use = f"use --algo {' or '.join(able)}" if able else "no algorithm here can"
        raise InputError(
            f"{algorithm.name} cannot act in {env_id}: its actions are {kind},"
            f" not {' or '.join(algorithm.action_spaces)}; {use}"
        )


def check_hyperparameters(algo: str, given: Mapping[str, Any]) -> None:
    """Refuse what RLlib's configuration of the algorithm does not have. Raises InputError."""
    check(given, {**_rllib_defaults(algo), **_old_stack_defaults(algo)}, algo)


def _rllib_defaults(algo: str) -> dict[str, Any]:
    """RLlib's default settings of an algorithm, as JSON holds them.

    Asked of another process, which may leave TensorFlow out; this one may yet need it.
    """
    code = f"from rlsif.learning.config import print_defaults; print_defaults({algo!r})"
    environment = {**os.environ, "RLLIB_TEST_NO_TF_IMPORT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RlsifError(f"RLlib cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    defaults: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return defaults


def print_defaults(algo: str) -> None:
    """Print RLlib's default settings of an algorithm as one line of JSON."""
    print(json.dumps(_config_class(algo)().to_dict(), default=str, skipkeys=True))


def build(spec: RunSpec, layout: Layout) -> Any:
    """Build the RLlib Algorithm, its env runners included. Raises InputError for values that RLlib refuses."""
    config = configure(spec, layout)
    try:
        config.validate()
        config.freeze()
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as problem:
        raise InputError(f"RLlib refuses these settings of {spec.algo}: {' '.join(str(problem).split())}") from problem
    from rlsif.learning.fixes import algorithm_class

    return algorithm_class(spec.algo)(config=config)


def configure(spec: RunSpec, layout: Layout) -> Any:
    """The AlgorithmConfig of a run."""
    from rlsif.learning.rollout_worker import EnvRunner
    from rlsif.sampling.env_runner import ArrayEnvRunner

    config = _config_class(spec.algo)()
    config.api_stack(enable_rl_module_and_learner=False, enable_env_runner_and_connector_v2=False)
    config.framework(spec.framework)
    # RLlib would ask the first env runner for the spaces, and wait for it before it builds the policy.
    env = find_env(spec.env, dict(spec.env_config))
    config.environment(
        spec.env,
        env_config=dict(spec.env_config),
        observation_space=env.observation_space,
        action_space=env.action_space,
        disable_env_checking=True,
        # RLlib asks Gymnasium for the environment by its name, which fails for that of a file.
        **({"is_atari": False} if of_file(spec.env) else {}),
    )
    config.env_runners(
        num_env_runners=layout.num_env_runners,
        num_envs_per_env_runner=layout.num_envs_per_env_runner,
        # With one, APPO and IMPALA would go on alone when every env runner has failed.
        create_local_env_runner=layout.num_env_runners == 0,
        env_runner_cls=EnvRunner if layout.rllib_samples else ArrayEnvRunner,
        custom_resources_per_env_runner={"rollout": 1} if layout.by_role else {},
    )
    config.fault_tolerance(restart_failed_env_runners=True)
    config.resources(num_gpus=layout.num_gpus)
    config.debugging(seed=spec.seed, log_sys_usage=False)
    _set(config, _threads(layout))
    _set(config, _old_stack_defaults(spec.algo))
    _set(config, spec.hyperparameters)
    return config


def _set(config: Any, values: Mapping[str, Any]) -> None:
    """Set values by RLlib's names, those in nested mappings one by one."""
    for key, value in values.items():
        attribute = "lambda_" if key == "lambda" else key
        default = getattr(config, attribute, None)
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            value = merge(default, value)
        setattr(config, attribute, value)


def _threads(layout: Layout) -> dict[str, Any]:
    """One thread for a runner's session, the learner's cores for its own; RLlib's 2 and 8 fight for them."""
    learner = layout.learner_threads
    return {
        "tf_session_args": {"intra_op_parallelism_threads": 1, "inter_op_parallelism_threads": 1},
        "local_tf_session_args": {"intra_op_parallelism_threads": learner, "inter_op_parallelism_threads": learner},
    }


def _old_stack_defaults(algo: str) -> dict[str, Any]:
    """What RLlib's defaults, made for its new stack, have wrong for the old one."""
    if algo == "DQN":
        return {"replay_buffer_config": _replay("MultiAgentPrioritizedReplayBuffer", 50_000)}
    if algo == "SAC":
        return {"replay_buffer_config": _replay("MultiAgentReplayBuffer", 100_000)}
    return {}


def _replay(kind: str, capacity: int) -> dict[str, Any]:
    return {"type": kind, "capacity": capacity, "replay_sequence_length": 1}


def _config_class(algo: str) -> Any:
    return getattr(import_module(f"ray.rllib.algorithms.{algo.lower()}"), f"{algo}Config")

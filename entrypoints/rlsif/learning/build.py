"""From the settings of a run to RLlib's Algorithm. Runs in the learner's process, or where settings are looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from rlsif import private_api
from rlsif.envs.adapted import Adapted, Translation, policy_spaces
from rlsif.envs.atari import protocol
from rlsif.envs.find import ONE, FoundEnv, make
from rlsif.envs.recorded import Recorded, read
from rlsif.envs.reference import EnvRef
from rlsif.errors import InputError, RlsifError
from rlsif.learning import rllib_callbacks
from rlsif.learning.catalogue import catalogue
from rlsif.learning.checks import check, check_explored, check_precision, check_rewards
from rlsif.learning.hyperparameters import refusal
from rlsif.learning.image_model import check_pixels, set_filters
from rlsif.learning.many_policies import only_policy, set_policies, spaces_of_agents
from rlsif.learning.own_network import as_rllib_has_it
from rlsif.learning.spec import FLOAT32, Layout, RunSpec
from rlsif.policies import masks
from rlsif.sampling.coverage import unsupported
from rlsif.sampling.env_runner import ArrayEnvRunner, SamplingSpec
from rlsif.values import merge

# Seconds; RLlib needs a number.
SAMPLE_TIMEOUT_S = 10 * 365 * 86_400
SECONDS_TO_ANSWER = 2.0
# Settings with which RLlib's own sampler chooses no illegal action, and filters no mask.
MASKS_NEED_OF_RLLIB: Mapping[str, Callable[[Any], bool]] = {
    "observation_filter": lambda given: given == "NoFilter",
    "num_atoms": lambda given: given == 1,
    "model.use_attention": lambda given: not given,
    "model.custom_action_dist": lambda given: not given,
    "exploration_config": lambda given: (
        given.get("type") in ("EpsilonGreedy", "StochasticSampling") and not given.get("random_timesteps")
    ),
}

# What has no effect on recorded steps, or needs them in their order.
NEEDS_OF_OFFLINE: Mapping[str, Any] = {
    "observation_filter": "NoFilter", "model.use_lstm": False, "model.use_attention": False,
}  # fmt: skip


def build(spec: RunSpec, layout: Layout, env: FoundEnv) -> Any:
    """Build the RLlib Algorithm, its env runners included. Raises InputError for values that RLlib refuses."""
    config = configure(spec, layout, env)
    recorded = _recorded(spec, config, env)
    if layout.rllib_samples is None:
        against = against_sampling(spec, config, env)
        # It was judged without RLlib where only a preset's settings are given.
        if against:
            raise RlsifError(f"the preset of {spec.algo} for {spec.env.short} cannot be sampled in NumPy: {against}")
    _register(spec.env, config.rlsif)
    try:
        config.validate()
        config.freeze()
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as problem:
        raise InputError(refusal(spec.algo, problem)) from problem
    from rlsif.learning.fixes import algorithm_class
    from rlsif.learning.rollout_worker import LearnersEnvRunner

    ArrayEnvRunner.of_learner = LearnersEnvRunner
    if any(view.mask for view in env.views.values()):
        from rlsif.learning.masked_models import register

        register()
    if spec.network:
        from rlsif.learning import own_model

        own_model.register()
    private_api.leave_out_towers()
    algorithm = algorithm_class(catalogue()[spec.algo])(config=config)
    if recorded:
        algorithm.learn_from(recorded, str(spec.input))
    return algorithm


def _recorded(spec: RunSpec, config: Any, env: FoundEnv) -> Recorded | None:
    """The episodes that are learned from; None where the run samples. Raises InputError."""
    if not catalogue()[spec.algo].offline:
        return None
    assert spec.input is not None
    sampling: SamplingSpec = config.rlsif
    return read(Path(spec.input), env, sampling.normalize_actions, not config.actions_in_input_normalized)


def _check_offline(spec: RunSpec, config: Any) -> None:
    for name, needed in NEEDS_OF_OFFLINE.items():
        given = _setting(config, name)
        if given != needed:
            raise InputError(
                f"{name} is {given}, and {spec.algo} draws single steps of recorded episodes, as they were recorded;"
                " leave it at its default"
            )


def _register(ref: EnvRef, sampling: SamplingSpec) -> None:
    """Make the environment known to RLlib's sampler by its name, in every process of the run.

    RLlib takes a name with a dot in it for a class, and then loses the time limit.
    """
    from ray import tune

    def create(context: Any) -> Any:
        worker_index, copy = getattr(context, "worker_index", 0), getattr(context, "vector_index", 0)
        env = make(ref, worker_index)
        how = sampling.normalize_actions, sampling.clip_actions
        if not sampling.agents:
            return Adapted(env, *how, sampling.views[ONE].mask, copy)
        from rlsif.learning.agents_env import AdaptedAgents

        translations = {}
        for view in sampling.views.values():
            spaces = view.observation_space, view.action_space
            made = Translation(spaces, *how, view.mask, ref.short, copy)
            translations.update(dict.fromkeys(view.agents, made))
        return AdaptedAgents(env, translations)

    tune.register_env(ref.ascii_name, create)


def against_sampling(spec: RunSpec, config: Any, env: FoundEnv) -> str | None:
    """Why a run with these settings is sampled by RLlib; None where it is in NumPy.

    Raises InputError where neither honours the environment's action mask.
    """
    if catalogue()[spec.algo].offline:
        _check_offline(spec, config)
        return None
    against = _against(spec, config, env)
    if against and any(view.mask for view in env.views.values()):
        _check_rllib_honours_masks(spec, config)
    played = protocol(spec.env)
    if against and played and played.lives:
        raise InputError(
            f"--atari {spec.env.atari} ends an episode for the learner when a life is lost, and RLlib's sampler cannot;"
            f" RLlib samples this run, because {against}; use --atari machado"
        )
    return against


def _against(spec: RunSpec, config: Any, env: FoundEnv) -> str | None:
    found = (_against_policy(spec, config, name, view) for name, view in env.views.items())
    return next((reason for reason in found if reason), None)


def _against_policy(spec: RunSpec, config: Any, name: str, view: FoundEnv) -> str | None:
    own = only_policy(config, name) if spec.policies else config
    return unsupported(_sampler(spec, own), own, view.observations, view.actions)


def _sampler(spec: RunSpec, config: Any) -> Any:
    """The class of the sampler in NumPy, or None; `config` may have its model inside one that masks."""
    recurrent = bool(masks.inner_model(config.model)["use_lstm"])
    return catalogue()[spec.algo].sampler_class(recurrent=recurrent)


def _setting(config: Any, name: str) -> Any:
    """A setting by its name, those of the network as model.NAME; None where the algorithm has none."""
    if name.startswith("model."):
        return masks.inner_model(config.model)[name[len("model.") :]]
    return getattr(config, name, None)


def _check_rllib_honours_masks(spec: RunSpec, config: Any) -> None:
    for name, fits in MASKS_NEED_OF_RLLIB.items():
        given = _setting(config, name)
        if given is not None and not fits(given):
            raise InputError(
                f"{name} is {given}, with which {spec.algo} would not honour the action mask of {spec.env.short};"
                " leave it at its default"
            )


def configure(spec: RunSpec, layout: Layout, env: FoundEnv) -> Any:
    """The AlgorithmConfig of a run."""
    config = config_class(spec.algo)()
    config.api_stack(enable_rl_module_and_learner=False, enable_env_runner_and_connector_v2=False)
    config.framework(spec.framework)
    config.env_runners(
        num_env_runners=layout.num_env_runners,
        num_envs_per_env_runner=layout.num_envs_per_env_runner,
        # With one, APPO and IMPALA would train on alone when every env runner has failed.
        create_local_env_runner=layout.num_env_runners == 0,
        env_runner_cls=_rllibs_env_runner() if layout.rllib_samples else ArrayEnvRunner,
        num_cpus_per_env_runner=layout.cores_of_runner,
        custom_resources_per_env_runner={"rollout": layout.cores_of_runner} if layout.by_role else {},
        # Env runners are watched by the run; RLlib would drop without a word what comes later than this.
        sample_timeout_s=SAMPLE_TIMEOUT_S,
    )
    # One that is lost is looked for beside the training, and asked once it answers.
    config.fault_tolerance(
        restart_failed_env_runners=True,
        env_runner_health_probe_timeout_s=SECONDS_TO_ANSWER,
        # RLlib would let the learner wait for a minute before one that failed ends; the run hears of it at once.
        delay_between_env_runner_restarts_s=0.0,
    )
    config.resources(num_gpus=layout.num_gpus)
    config.debugging(seed=_seed(spec.seed, layout), log_sys_usage=False)
    # Of the new API stack; SAC has a number there, beside which train_batch_size has no effect.
    config.train_batch_size_per_learner = None
    set_values(config, _threads(layout))
    set_values(config, catalogue()[spec.algo].defaults)
    if spec.env.atari:
        config.clip_rewards = True
    set_values(config, {name: value for name, value in spec.hyperparameters.items() if name != rllib_callbacks.KEY})
    if callbacks := spec.hyperparameters.get(rllib_callbacks.KEY):
        config.callbacks_class = rllib_callbacks.OwnCallbacks(callbacks, spec.env.code_folder)
    if spec.network:
        config.model = as_rllib_has_it(spec.network, spec.env.code_folder, config.model)
    if spec.normalize_rewards:
        check_rewards(config)
    check(config, catalogue()[spec.algo])
    if layout.precision != FLOAT32:
        check_precision(config, catalogue()[spec.algo])
    _set_env(config, spec, layout, env)
    return config


def _seed(seed: int | None, layout: Layout) -> int | None:
    """The seed for RLlib, which adds to it the numbers of an env runner and of a copy of the environment.

    By its sampler, runs with seeds next to each other would share environments, and a resumed run would repeat its own.
    """
    if seed is None or not layout.rllib_samples:
        return seed
    sequence = np.random.SeedSequence(seed, spawn_key=(layout.resumed_at,))
    # With room for what is added: TensorFlow takes 31 bits.
    return int(sequence.generate_state(1, np.uint32)[0] >> 2)


def _set_env(config: Any, spec: RunSpec, layout: Layout, env: FoundEnv) -> None:
    """Let RLlib see the environment as its policy does; actions are turned into the environment's by our adapter."""
    normalize, clip = config.normalize_actions, config.clip_actions
    spaces = {name: policy_spaces(view, normalize) for name, view in env.views.items()}
    action_spaces = [actions for _, actions in spaces.values()]
    _check_deviations(config, spec, action_spaces)
    check_explored(config, spec.algo, spec.env.short, action_spaces)
    observation_space, action_space = spaces_of_agents(env, spaces) if env.policies else spaces[ONE]
    config.environment(
        spec.env.ascii_name,
        env_config=dict(spec.env.arguments),
        # RLlib would ask the first env runner for them, and wait for it before it builds the policy.
        observation_space=observation_space,
        action_space=action_space,
        # What is left of that is none, for actions are between -1 and 1.
        normalize_actions=normalize and catalogue()[spec.algo].squashes_actions,
        clip_actions=False,
        disable_env_checking=True,
        # RLlib asks Gymnasium for the environment by its name, which fails for that of a file.
        is_atari=False,
    )
    # They are encoded before RLlib sees them. It knows Atari's screen and memory by their shapes alone, and would scale
    # them, and wrap a game once more.
    config.preprocessor_pref = None
    check_pixels(config.model, env)
    models = {name: _model(config, spec.algo, view) for name, view in env.views.items()}
    if spec.policies:
        set_policies(config, spec.policies, spaces, models)
    else:
        config.model = models[ONE]
    sampler = _sampler(spec, config)
    config.rlsif = SamplingSpec(
        spec.env, sampler, normalize, clip,
        resumed_at=layout.resumed_at, tasks=layout.tasks, agents=env.agents, run=layout.run, views=env.views,
        models=models if spec.policies else {}, processes=layout.env_processes,
        normalize_rewards=spec.normalize_rewards, opponent=spec.opponent, learners=spec.learners,
        precision=layout.precision,
    )  # fmt: skip


def _model(config: Any, algo: str, env: FoundEnv) -> Any:
    """The settings of the network of a policy that sees this of the environment."""
    own = config.copy(copy_frozen=False)
    set_filters(own, env)
    masked_model = catalogue()[algo].masked_model
    return masks.outer_model(own.model, masked_model, env.mask.size) if env.mask and masked_model else own.model


def _check_deviations(config: Any, spec: RunSpec, action_spaces: Sequence[Any]) -> None:
    """Refuse deviations that RLlib would take from the wrong outputs. Raises InputError."""
    mixed = any(isinstance(space, gymnasium.spaces.Tuple) for space in action_spaces)
    if config.model["free_log_std"] and mixed:
        raise InputError(
            f"model.free_log_std is true, and {spec.env.short} mixes choices and numbers in its actions, where RLlib"
            " would take half of all outputs for deviations; leave it at its default"
        )


def _rllibs_env_runner() -> Any:
    from rlsif.learning.rollout_worker import EnvRunner

    return EnvRunner


def set_values(config: Any, values: Mapping[str, Any]) -> None:
    """Set values by RLlib's names, those in nested mappings one by one."""
    for key, value in values.items():
        attribute = "lambda_" if key == "lambda" else key
        default = getattr(config, attribute, None)
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            value = merge({key: default}, {key: value})[key]
        setattr(config, attribute, value)


def _threads(layout: Layout) -> dict[str, Any]:
    """One thread for a runner's session, the learner's cores for its own; RLlib's 2 and 8 fight for them."""
    learner = layout.learner_threads
    return {
        "tf_session_args": {"intra_op_parallelism_threads": 1, "inter_op_parallelism_threads": 1},
        "local_tf_session_args": {"intra_op_parallelism_threads": learner, "inter_op_parallelism_threads": learner},
    }


def config_class(algo: str) -> Any:
    """RLlib's class of an algorithm's settings."""
    return getattr(import_module(f"ray.rllib.algorithms.{algo.lower()}"), f"{algo}Config")

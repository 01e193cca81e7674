"""RLlib's env runner, with one thing added: an exception inside it reaches the run.

On RLlib's old API stack it does not: the actor exits, is started again, and the run goes
on with nothing sampled. Imported in processes that run RLlib with TensorFlow.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rlsif.learning.rllib import import_rllib

import_rllib()

# ruff: noqa: E402
from ray.rllib.connectors.util import maybe_get_filters_for_syncing
from ray.rllib.evaluation.metrics import RolloutMetrics
from ray.rllib.evaluation.rollout_worker import RolloutWorker
from ray.rllib.policy.sample_batch import MultiAgentBatch, concat_samples
from ray.rllib.utils.framework import try_import_tf

from rlsif import private_api
from rlsif.cluster.failures import reporting
from rlsif.cluster.tasks import Tasks
from rlsif.envs.metrics import ENDED, ENV_TIME_SHARE, HISTORY, NONE, OF_AGENTS, Metrics
from rlsif.envs.progress import PROGRESS
from rlsif.envs.task import set_task
from rlsif.sampling.env_runner import Sampling, beating, doing, filters_of_rewards
from rlsif.sampling.opponents import OPPONENTS, Pool


class EnvRunner(RolloutWorker):  # type: ignore[misc]
    """A RolloutWorker that reports its first failure to the run."""

    @reporting
    def __init__(self, *, worker_index: int = 0, **kwargs: Any) -> None:
        """Take RolloutWorker's arguments."""
        beating(worker_index, kwargs["config"].rlsif.run)
        _bound_threads(kwargs["config"], worker_index)
        ENDED.clear()
        if kwargs["config"].seed is not None and private_api.was_restarted():
            # Ray starts an actor that was lost with the same arguments; its seeds are to be others.
            kwargs["config"] = kwargs["config"].copy(copy_frozen=False)
            kwargs["config"].seed = secrets.randbits(30)
        super().__init__(worker_index=worker_index, **kwargs)
        self._tasks = Tasks(self.config.rlsif.tasks)
        PROGRESS.doing = "waiting"

    @reporting
    def sample(self, fragments: int = 1, **kwargs: Any) -> Any:
        """A batch of experience, of so many fragments."""
        for task in self._tasks.new():
            self.foreach_env(functools.partial(set_task, task=task))
        with doing("stepping its environments"):
            parts = [super(EnvRunner, self).sample(**kwargs) for _ in range(fragments)]
        return parts[0] if fragments == 1 else concat_samples(parts)

    def get_metrics(self) -> list[RolloutMetrics]:
        """The episodes that ended since the last call, with the user's own numbers: those of RLlib's callbacks, too.

        And with the environments' share of the time since this env runner began.
        """
        return [
            each._replace(
                perf_stats=_env_time_share(each.perf_stats),
                hist_data={
                    **each.hist_data,
                    HISTORY: [{**each.custom_metrics, **_next_ended()}],
                    OF_AGENTS: [self._returns_of_agents(each)],
                },
            )
            for each in super().get_metrics()
        ]

    def _returns_of_agents(self, episode: RolloutMetrics) -> dict[str, float]:
        if not self.config.rlsif.agents:
            return {}
        return {str(agent): float(total) for (agent, _), total in episode.agent_rewards.items()}

    def set_state(self, state: Any) -> None:
        """Take a state, and keep the settings of this run: RLlib would take those of the checkpoint.

        RLlib's sampler filters by what its policy got with the state; what is saved and sent must be that.
        """
        settings = {name: self.policy_map[name].config for name in self.policy_map.keys()}  # noqa: SIM118
        super().set_state(state)
        for name, config in settings.items():
            self.policy_map[name].config = config
            self._take_filter_of(name)
        self.sync_filters(state["filters"])

    def _take_filter_of(self, policy: str) -> None:
        maybe_get_filters_for_syncing(self, policy)


def _bound_threads(config: Any, worker_index: int) -> None:
    """Have eager TensorFlow use the cores that this process has; RLlib tells that only to the sessions of graphs."""
    if config.framework_str != "tf2":
        return
    given = config.tf_session_args if worker_index else config.local_tf_session_args
    tf1, tf, _ = try_import_tf()
    # These settings make TensorFlow's context; one that is made for graphs stays so.
    tf1.enable_eager_execution()
    tf.config.threading.set_intra_op_parallelism_threads(given["intra_op_parallelism_threads"])
    tf.config.threading.set_inter_op_parallelism_threads(given["inter_op_parallelism_threads"])


def _env_time_share(milliseconds: Mapping[str, float]) -> dict[str, float]:
    whole = sum(milliseconds.values())
    return {ENV_TIME_SHARE: milliseconds["mean_env_wait_ms"] / whole} if whole else {}


def _next_ended() -> Metrics:
    return ENDED.popleft() if ENDED else NONE


class LearnersEnvRunner(EnvRunner):
    """The learner's own RolloutWorker, which holds the policy; without others it samples, too."""

    def __init__(self, *, env_creator: Any, config: Any, **kwargs: Any) -> None:
        """Take RolloutWorker's arguments."""
        # RLlib would make an environment for its own sampler; the config has the spaces.
        without_env = config.copy(copy_frozen=False)
        without_env.create_local_env_runner = False
        super().__init__(env_creator=env_creator, config=without_env, **{**kwargs, "num_workers": 1})
        # They go where the filters of observations go: to env runners and back, and into checkpoints.
        self.filters.update(filters_of_rewards(self.config.rlsif))
        self._sampling = None
        # The opponents of the run, for env runners and checkpoints.
        self.pool = Pool()
        # Who learns from recorded episodes has no sampler.
        if config.num_env_runners == 0 and config.rlsif.sampler:
            self._sampling = Sampling(self.config, 0, self.filters)
            self.pool = self._sampling.pool

    def get_state(self) -> Any:
        """As RLlib's, with the opponents of the run."""
        state = super().get_state()
        return {**state, OPPONENTS: replace(self.pool)} if self.config.rlsif.opponent else state

    def set_state(self, state: Any) -> None:
        """Take a state, and its opponents, if it has some."""
        super().set_state(state)
        self.pool.take(state.get(OPPONENTS, self.pool))

    def _take_filter_of(self, policy: str) -> None:
        """Keep the filter that the sampler in NumPy has."""

    @reporting
    def sample(self, fragments: int = 1, **_: Any) -> MultiAgentBatch:
        """A batch of experience, by the policy as it is now."""
        assert self._sampling is not None
        policies = {name: self.policy_map[name] for name in self._sampling.samplers}
        self._sampling.set_weights({name: policy.get_weights() for name, policy in policies.items()})
        counted = [sampler.timestep for sampler in self._sampling.samplers.values()]
        self._sampling.set_timestep(max(*counted, *(int(policy.global_timestep) for policy in policies.values())))
        with doing("stepping its environments"):
            return self._sampling.sample(fragments)

    def stop(self) -> None:
        """Close the environments."""
        super().stop()
        if self._sampling:
            self._sampling.close()

    def get_metrics(self) -> list[RolloutMetrics]:
        """The episodes that ended since the last call."""
        return [] if self._sampling is None else self._sampling.metrics()

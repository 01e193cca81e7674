"""The private names of Ray and RLlib that are used here, all in one place.

Written against the version below. Moving to another one begins here: `check_version` refuses what was not tried, and
tests/image/test_private_api.py looks for every name. Ray and RLlib are imported inside the functions, so that a process
that needs only one of them imports only that.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from rlsif.errors import RlsifError

# Of Ray, as `ray.__version__` has it up to the second point.
MADE_FOR = "2.60"
# RLlib leaves TensorFlow out where this is set, to anything, when it is imported.
NO_TENSORFLOW = "RLLIB_TEST_NO_TF_IMPORT"
# Of the raylet's arguments, those that say how it starts the node's two agents.
AGENT, RUNTIME_ENV_AGENT = "--dashboard_agent_command=", "--runtime_env_agent_command="
# In the place of one that has nothing to do; the raylet wants it to live as long as itself.
NO_AGENT = "setpriv --pdeathsig KILL sleep infinity"
# Of SAC's and CQL's settings, whether actions have another distribution, and whether the loss draws none.
BETA_DISTRIBUTION, DETERMINISTIC_LOSS = "_use_beta_distribution", "_deterministic_loss"
# Of RLlib's settings of a network, those that decide nothing for one without memory.
MODEL_WITHOUT_EFFECT = ("_time_major", "_disable_preprocessor_api", "_disable_action_flattening")
# In the state of a policy, what its optimizer has.
OPTIMIZER_VARIABLES = "_optimizer_variables"

# What Ray's C++ is told, by the head for all of its nodes.
SYSTEM_CONFIG = {
    # A node that has lost the head for so long ends.
    "gcs_rpc_server_reconnect_timeout_s": 10,
    # How often the head looks for a node; one that answers none of five times is gone.
    "health_check_period_ms": 1000,
}


class StartFailed(RlsifError):
    """Ray's processes did not come up on this node. Exit code 1."""


def check_version() -> None:
    """Refuse another Ray than the one that this was written for. Raises RlsifError."""
    import ray

    if ray.__version__.rpartition(".")[0] != MADE_FOR:
        raise RlsifError(
            f"Ray is {ray.__version__}, and this was written for {MADE_FOR}; build the image with this"
            " checkout's locks, or see CONTRIBUTING.md on moving to another Ray"
        )


# Ray: processes of a node.


def init(*, node_ip_address: str, folder: Optional[str] = None, **settings: Any) -> None:
    """Connect this process to Ray, or start Ray for it with its files in `folder`; `settings` are those of ray.init."""
    import ray

    with _signals_kept():
        ray.init(
            **settings,
            _node_ip_address=node_ip_address,
            _temp_dir=folder,
            job_config=job_config(),
            log_to_driver=True,
            configure_logging=False,
        )


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Let signals have the handlers at the end that they have now, where this is the main thread.

    Ray's in Python end the process. Those in C++ print where it stands, and end it where that takes three seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if handler is not None:
            signal.signal(number, handler)


class Kept(NamedTuple):
    """What `ray.put` was given in a process whose Ray has not been started."""

    value: Any


@contextlib.contextmanager
def started_when_needed(start: Callable[[], None]) -> Iterator[None]:
    """Have `start` called where something in this process needs Ray first; Ray would start one that is open to others.

    Until then `ray.put` keeps what it is given: RLlib puts configurations, weights and filters there for env runners in
    other processes also where there are none.
    """
    import ray

    init, put, get = ray.init, ray.put, ray.get

    # What Ray's functions call where it has not been started.
    def ours(*_: Any, **__: Any) -> None:
        ray.init = init
        start()

    def put_or_keep(value: Any, **how: Any) -> Any:
        return put(value, **how) if ray.is_initialized() else Kept(value)

    def get_or_kept(found: Any, **how: Any) -> Any:
        return found.value if isinstance(found, Kept) else get(found, **how)

    ray.init, ray.put, ray.get = ours, put_or_keep, get_or_kept
    try:
        yield
    finally:
        ray.init, ray.put, ray.get = init, put, get


def node_parameters(
    *,
    name: str,
    address: str,
    head: Optional[str],
    cpus: int,
    gpus: int,
    roles: Mapping[str, float],
    memory: int,
    object_store: int,
    folder: str,
    dashboard: bool,
) -> dict[str, Any]:
    """What Ray is told of a node, by the names that RayParams has. `head` is None for the head itself."""
    return dict(
        node_name=name,
        node_ip_address=address,
        gcs_address=head,
        num_cpus=cpus,
        num_gpus=gpus,
        resources=dict(roles),
        memory=memory,
        object_store_memory=object_store,
        temp_dir=folder,
        # Any free port, so that jobs on one node don't meet.
        min_worker_port=0,
        max_worker_port=0,
        dashboard_port=0,
        dashboard_agent_listen_port=0,
        dashboard_host="127.0.0.1",
        include_dashboard=dashboard,
        _system_config=SYSTEM_CONFIG if head is None else None,
    )


def start_node(parameters: Mapping[str, Any]) -> Any:
    """Start the processes of a node, which end with this one; `parameters` are those of `node_parameters`.

    Raises StartFailed, with nothing left of the node, where Ray takes too long or its processes end.
    """
    import ray._private.services
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    check_version()
    # For a message alone, Ray would ask hosts on the internet for it, and say that none answers.
    ray._private.services.get_node_ip_address = lambda *_: parameters["node_ip_address"]
    node = Node.__new__(Node)
    try:
        head = parameters["gcs_address"] is None
        node.__init__(RayParams(**parameters), head=head, shutdown_at_exit=True, spawn_reaper=True)
    except Exception as problem:
        with contextlib.suppress(Exception):
            end_node(node)
        raise StartFailed(f"Ray did not come up on this node: {' '.join(str(problem).split())}") from problem
    return node


class NodePlaces(NamedTuple):
    """Where a node is found: its head's address, the dashboard's on the head, both address:port, and its logs."""

    head: str
    dashboard: str
    logs: str


def places(node: Any) -> NodePlaces:
    """Where a node that was started is found."""
    return NodePlaces(str(node.gcs_address), str(node.webui_url), str(node.get_logs_dir_path()))


def dead_processes(node: Any) -> list[str]:
    """The names of a node's processes that have ended."""
    return [str(kind) for kind, _ in node.dead_processes()]


def end_node(node: Any) -> None:
    """End the processes of a node."""
    node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


def leave_out(*, dashboard: bool) -> None:
    """Keep Ray from starting autoscaler and metrics, and what the dashboard wants unless it is wanted, in this process.

    Each is a Python process that takes a second of a core, and metrics listen on ports that no token guards;
    `include_dashboard=False` starts a dashboard process all the same.
    """
    import ray._private.services
    from ray._private.node import Node

    def nothing(*_: object, **__: object) -> None:
        """Start nothing."""

    Node.start_monitor = nothing
    start = ray._private.services.start_ray_process
    if hasattr(start, "theirs"):
        start = start.theirs

    def start_less(command: list[str], *arguments: Any, **named: Any) -> Any:
        # In a session of its own: who ends a run may send the signal to all of its process group, as `timeout` does.
        return start(["setsid", *_with_less_of_agents(command, dashboard=dashboard)], *arguments, **named)

    start_less.theirs = start  # type: ignore[attr-defined]
    ray._private.services.start_ray_process = start_less
    if not dashboard:
        Node.start_api_server = nothing


def _with_less_of_agents(command: list[str], *, dashboard: bool) -> list[str]:
    """The command of a process; a raylet gets one agent for a dashboard alone, none for runtime environments.

    Each takes a second of a core. The raylet would give them 15 s to come up, and end itself where a busy machine or a
    slow disk takes longer to import Ray. So it finds ports as of agents that are there; one that comes up writes its
    own over them. Metrics are left out by an option that Ray has, and does not pass on.
    """
    from ray._raylet import (
        DASHBOARD_AGENT_LISTEN_PORT_NAME,
        METRICS_AGENT_PORT_NAME,
        METRICS_EXPORT_PORT_NAME,
        RUNTIME_ENV_AGENT_PORT_NAME,
        persist_port,
    )

    given = dict(word[2:].split("=", 1) for word in command if word.startswith("--") and "=" in word)
    if not any(word.startswith(AGENT) for word in command):
        return command
    # Ray's own word for an agent without a port; for the other agent a port at which nobody listens.
    ports = dict.fromkeys((METRICS_AGENT_PORT_NAME, METRICS_EXPORT_PORT_NAME, DASHBOARD_AGENT_LISTEN_PORT_NAME), -1)
    for name, port in {**ports, RUNTIME_ENV_AGENT_PORT_NAME: 1}.items():
        persist_port(given["session_dir"], given["node_id"], name, port)

    def ours(word: str) -> str:
        if word.startswith(RUNTIME_ENV_AGENT):
            return RUNTIME_ENV_AGENT + NO_AGENT
        if not word.startswith(AGENT):
            return word
        return f"{word} --disable-metrics-collection" if dashboard else AGENT + NO_AGENT

    return [ours(word) for word in command]


def trials_without_runtime_environments() -> None:
    """Have Tune start its trials as RLlib starts its actors; its variables are for other libraries, or not set here."""
    import ray
    from ray.tune.execution.class_cache import _ActorClassCache

    def actor_class(self: Any, trainable: type) -> Any:
        """The trainable as an actor's class, made once."""
        if trainable not in self._cache:
            self._cache[trainable] = ray.remote(trainable)
        return self._cache[trainable]

    _ActorClassCache.get = actor_class


def session_logs() -> str:
    """The folder of logs of this process's Ray; nothing where it has not been started."""
    import ray

    node = ray._private.worker.global_worker.node
    return str(node.get_logs_dir_path()) if node else ""


def was_restarted() -> bool:
    """Whether Ray has started the actor in this process again; its public property prints a warning of itself."""
    import ray
    from ray._private.state import actors

    actor = ray.get_runtime_context().get_actor_id() if ray.is_initialized() else None
    return bool(actor and (actors(actor_id=actor) or {}).get("NumRestarts"))


def keep_loopback() -> None:
    """Have this process look for a head at 127.0.0.1 where it is told so; Ray would take another of its addresses."""
    import ray._private.services

    ray._private.services.resolve_ip_for_localhost = lambda host: host


def job_config() -> Any:
    """The configuration of a job whose workers do not look for modules in the driver's folder.

    Ray would put that folder first, where a user's tree.py or numpy.py hides the library's.
    """
    from ray.job_config import JobConfig

    class OwnPath(JobConfig):  # type: ignore[misc]
        def _serialize(self) -> Any:
            self._py_driver_sys_path.clear()
            return super()._serialize()

    return OwnPath()


# Ray: a value that every process of a cluster sees.

# Those of a process whose Ray has not been started.
_shared_here: dict[bytes, bytes] = {}


def put_shared(key: bytes, value: bytes, *, overwrite: bool) -> None:
    """Write a value; without a Ray, for this process alone."""
    from ray.experimental import internal_kv

    if internal_kv._internal_kv_initialized():
        internal_kv._internal_kv_put(key, value, overwrite=overwrite)
    elif overwrite or key not in _shared_here:
        _shared_here[key] = value


def shared(key: bytes) -> Optional[bytes]:
    """A value; None where there is none."""
    from ray.experimental import internal_kv

    if not internal_kv._internal_kv_initialized():
        return _shared_here.get(key)
    value: Optional[bytes] = internal_kv._internal_kv_get(key)
    return value


def shared_keys(prefix: bytes) -> list[bytes]:
    """The keys of all values that begin like this."""
    from ray.experimental import internal_kv

    return list(internal_kv._internal_kv_list(prefix)) if internal_kv._internal_kv_initialized() else []


def delete_shared(key: bytes) -> None:
    """Take a value away."""
    from ray.experimental import internal_kv

    internal_kv._internal_kv_del(key)


# RLlib: what an Algorithm lets a subclass decide.


@functools.cache
def hooks() -> type:
    """A base of Algorithms, whose methods with public names RLlib asks by private ones."""
    from ray.rllib.algorithms.algorithm import Algorithm

    check_version()

    class Hooks(Algorithm):  # type: ignore[misc]
        """What subclasses decide."""

        def log_folder(self) -> str:
            """Where RLlib may write logs."""
            raise NotImplementedError

        def filters_are_synced(self, config: Any) -> bool:
            """Whether env runners are asked for what their filters saw."""
            return True

        def sync_filters(self, filters: Mapping[str, Any], env_runner_group: Any) -> None:
            """Merge what filters of env runners saw into those of the learner, and send them."""
            raise NotImplementedError

        def replay_buffer(self, config: Any, theirs: Callable[[Any], Any]) -> Any:
            """The replay buffer; `theirs` makes RLlib's."""
            return theirs(config)

        def _setup_logdir(self) -> None:
            self._logdir = self.log_folder()

        def _sync_filters_if_needed(self, *, central_worker: Any, workers: Any, config: Any) -> None:
            # RLlib's own would look at filters of observations alone.
            if central_worker and self.filters_are_synced(config):
                self.sync_filters(central_worker.filters, workers)

        def _create_local_replay_buffer_if_necessary(self, config: Any) -> Any:
            return self.replay_buffer(config, super()._create_local_replay_buffer_if_necessary)

    return Hooks


# A learner's thread that has no room for a batch is looked at so often.
SECONDS_TO_LOOK_AGAIN = 1.0


class NoLearnerThread:
    """In the place of the thread by which IMPALA and APPO learn."""

    def start(self) -> None:
        """Do nothing."""

    def add_learner_metrics(self, result: Any, overwrite_learner_info: bool) -> Any:
        """Give a result as it is."""
        return result


@contextlib.contextmanager
def learner_thread_where(wanted: Callable[[], bool]) -> Iterator[None]:
    """Let IMPALA and APPO set themselves up with their threads where those are wanted, which is asked then."""
    from ray.rllib.algorithms.impala import impala

    theirs = impala.make_learner_thread
    impala.make_learner_thread = lambda *given: _noticed(theirs(*given)) if wanted() else NoLearnerThread()
    try:
        yield
    finally:
        impala.make_learner_thread = theirs


def _noticed(thread: Any) -> Any:
    """The thread, with a queue that notices its end: RLlib would wait indefinitely for room in a full one."""
    put = thread.inqueue.put

    def put_while_alive(batch: Any, block: bool = True) -> None:
        while True:
            try:
                put(batch, block=block, timeout=SECONDS_TO_LOOK_AGAIN)
                return
            except queue.Full:
                if not block:
                    raise
            if not thread.is_alive():
                # As RLlib says it at its next look.
                raise RuntimeError("The learner thread died while training!")

    thread.inqueue.put = put_while_alive
    _let_learn_in_turn(thread)
    return thread


def _let_learn_in_turn(thread: Any) -> None:
    """Have a learner's thread make no update but within `learner_thread_at_work`."""
    turn = thread.turn = threading.Lock()
    turn.acquire()

    def in_turn(learn: Callable[..., Any]) -> Callable[..., Any]:
        def learn_in_turn(*args: Any, **kwargs: Any) -> Any:
            with turn:
                return learn(*args, **kwargs)

        return learn_in_turn

    worker = thread.local_worker
    worker.learn_on_batch = in_turn(worker.learn_on_batch)
    # RLlib's thread for GPUs, which it has with some settings of CPUs, too, asks the policies.
    for policy in worker.policy_map.values():
        policy.learn_on_loaded_batch = in_turn(policy.learn_on_loaded_batch)


@contextlib.contextmanager
def learner_thread_at_work(algorithm: Any) -> Iterator[None]:
    """Let the thread by which IMPALA or APPO learns make updates; at the end, wait until it makes none.

    Between two iterations policies then stay what they are, for their checkpoint and for their evaluation.
    """
    turn = algorithm._learner_thread.turn
    turn.release()
    try:
        yield
    finally:
        turn.acquire()


def timers(algorithm: Any) -> Any:
    """The timers of an Algorithm, by RLlib's names of them."""
    return algorithm._timers


def counters(algorithm: Any) -> Any:
    """The counters of an Algorithm, by RLlib's names of them."""
    return algorithm._counters


# RLlib: a policy of TensorFlow.


def optimizer(policy: Any) -> Any:
    """The optimizer of a policy."""
    return policy._optimizer


def optimizers(policy: Any) -> list[Any]:
    """All optimizers of a policy in graph mode: one, or those of policy and value function."""
    return list(policy._optimizers)


def optimizer_variables(policy: Any) -> list[Any]:
    """The variables of the optimizer that RLlib restores, of a policy in graph mode."""
    return list(policy._optimizer_variables.variables.values())


def advantage_norm(policy: Any) -> list[Any]:
    """The running scale of MARWIL's advantages, in a list; of other policies there is none."""
    return [policy._moving_average_sqd_adv_norm] if hasattr(policy, "_moving_average_sqd_adv_norm") else []


def loss_inputs(policy: Any) -> Mapping[str, Any]:
    """The placeholders of a policy's loss in graph mode, by the names of columns."""
    inputs: Mapping[str, Any] = policy._loss_input_dict
    return inputs


def statistics_names(policy: Any) -> list[str]:
    """The names of what a policy in graph mode tells of each update."""
    return sorted(policy._stats_fetches)


def statistics_fetches(policy: Any) -> list[Any]:
    """The tensors of what a policy in graph mode tells of each update, its loss among them."""
    return list(policy._stats_fetches.values())


def loss(policy: Any, batch: Any) -> Any:
    """The loss of a batch, by a policy in graph mode that RLlib builds from functions."""
    return policy._loss_fn(policy, policy.model, policy.dist_class, batch)


def statistics(policy: Any, batch: Any) -> dict[str, Any]:
    """What such a policy tells of the batch whose loss was built last."""
    return dict(policy._stats_fn(policy, batch))


def td_error(policy: Any) -> Any:
    """The TD errors of the batch whose loss was built last."""
    return policy.extra_compute_grad_fetches()["td_error"]


def leave_out_towers() -> None:
    """Have policies of framework "tf" built without a copy of their loss for each GPU, from which RLlib learns.

    The copies are made for one GPU, too; with a `minibatch_size` of None, as all algorithms but PPO have it, RLlib
    fails at that. Without them TensorFlow itself puts a policy on the GPU that it sees.
    """
    from ray.rllib.policy import tf_policy

    tf_policy.get_gpu_devices = list


@contextlib.contextmanager
def attributes_kept(*objects: Any) -> Iterator[None]:
    """Let policies and models have their attributes back at the end, without new ones."""
    before = [dict(vars(each)) for each in objects]
    try:
        yield
    finally:
        for each, attributes in zip(objects, before):
            vars(each).clear()
            vars(each).update(attributes)


def fill_columns(policy: Any, fill: Callable[[Any, Mapping[str, Any]], None]) -> None:
    """Have `fill` look at a batch and its placeholders before a policy in graph mode feeds its loss."""
    theirs = policy._get_loss_inputs_dict

    def with_columns(batch: Any, shuffle: bool) -> Any:
        fill(batch, policy._loss_input_dict_no_rnn)
        return theirs(batch, shuffle=shuffle)

    policy._get_loss_inputs_dict = with_columns


def replace_collection_of_episodes(ours: Callable[[Any], list[Any]]) -> None:
    """Have an algorithm ask `ours` for the episodes that ended in the env runners of a group. Imports RLlib."""
    from ray.rllib.algorithms import algorithm

    algorithm.collect_episodes = lambda group, *_, **__: ours(group)


@functools.cache
def see_images(filters: Callable[[Any], Any], setting: str, by: float) -> None:
    """Have RLlib's convolutions see the pixels of images divided, where a model has this setting.

    RLlib's network for images has no such setting. The networks inside one for Dicts get no settings but their own;
    `filters` gives theirs for the shape of an image where a model has none: RLlib has some for a few sizes.
    """
    from ray.rllib.models.catalog import MODEL_DEFAULTS
    from ray.rllib.models.tf import visionnet
    from ray.rllib.models.tf.complex_input_net import ComplexInputNetwork
    from ray.rllib.models.tf.visionnet import VisionNetwork
    from ray.rllib.utils.framework import try_import_tf

    tf, of_image, of_parts = try_import_tf()[1], VisionNetwork.forward, ComplexInputNetwork.__init__
    visionnet.get_filter_config = filters

    def forward(self: Any, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        if self.model_config.get(setting):
            input_dict = {"obs": tf.cast(input_dict["obs"], tf.float32) / by}
        return of_image(self, input_dict, state, seq_lens)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        of_parts(self, *args, **kwargs)
        for network in self.cnns.values():
            network.model_config[setting] = self.model_config.get(setting)

    # Models with settings that are not among these are refused.
    MODEL_DEFAULTS[setting] = False
    VisionNetwork.forward, ComplexInputNetwork.__init__ = forward, __init__


def replace_discounted_sum(ours: Callable[[Any, float], Any]) -> None:
    """Have RLlib's advantages and returns summed by `ours`. Imports RLlib."""
    from ray.rllib.evaluation import postprocessing

    postprocessing.discount_cumsum = ours


def training_batch(columns: Mapping[str, Any]) -> Any:
    """A batch that policies take for one to learn from."""
    from ray.rllib.policy.sample_batch import SampleBatch

    return SampleBatch(columns, _is_training=True)


def clips_each_loss(config: Any) -> bool:
    """Whether the gradients of each loss are clipped apart from those of others."""
    return bool(config._tf_policy_handles_more_than_one_loss)


# RLlib: the group of env runners.


def make_env_runner(group: Any, number: int) -> Any:
    """Start an env runner's actor; the group does not know it yet."""
    return group._make_worker(
        env_creator=group._env_creator,
        validate_env=None,
        worker_index=number,
        num_workers=number,
        config=group._remote_config_obj_ref,
    )


def wait_for_any(group: Any, tag: str, seconds: float) -> None:
    """Wait for an answer to one of the calls to env runners with that tag, or so long."""
    import ray

    calls = [call for call, (of, _) in group._worker_manager._in_flight_req_to_actor_id.items() if of == tag]
    if calls:
        ray.wait(calls, num_returns=1, timeout=seconds)


def lost_env_runners(group: Any) -> dict[int, Any]:
    """The actors that a group takes for failed, by number; Ray may have started them again."""
    return _env_runners(group, healthy=False)


def healthy_env_runners(group: Any) -> dict[int, Any]:
    """The actors that a group takes for alive, by number."""
    return _env_runners(group, healthy=True)


def _env_runners(group: Any, *, healthy: bool) -> dict[int, Any]:
    manager = group._worker_manager
    return {number: actor for number, actor in manager.actors().items() if manager.is_actor_healthy(number) == healthy}


def add_env_runner(group: Any, runner: Any) -> int:
    """Let a group have an env runner; give the id by which it knows it."""
    manager = group._worker_manager
    manager.add_actors([runner])
    return int(manager.actor_ids()[-1])


# Every name above, for the contract test: what it is looked up in, and how it is called there.
NAMES: Mapping[str, tuple[str, ...]] = {
    "ray._private.node:Node": (
        "start_monitor", "start_api_server", "dead_processes", "kill_all_processes", "get_logs_dir_path", "webui_url",
        "gcs_address",
    ),
    "ray._private.parameter:RayParams": ("__init__",),
    "ray._private.services": ("start_ray_process", "resolve_ip_for_localhost", "get_node_ip_address"),
    "ray._private.state": ("actors",),
    "ray._raylet": (
        "persist_port", "METRICS_AGENT_PORT_NAME", "METRICS_EXPORT_PORT_NAME", "DASHBOARD_AGENT_LISTEN_PORT_NAME",
        "RUNTIME_ENV_AGENT_PORT_NAME",
    ),
    "ray._private.worker": ("global_worker",),
    "ray.job_config:JobConfig": ("_serialize",),
    "ray.tune.execution.class_cache:_ActorClassCache": ("get",),
    "ray.experimental.internal_kv": (
        "_internal_kv_initialized", "_internal_kv_put", "_internal_kv_get", "_internal_kv_del",
        "_internal_kv_list",
    ),
    "ray.rllib.algorithms.algorithm:Algorithm": (
        "_setup_logdir", "_sync_filters_if_needed", "_create_local_replay_buffer_if_necessary",
    ),
    "ray.rllib.algorithms.impala.impala": ("make_learner_thread",),
    "ray.rllib.evaluation.postprocessing": ("discount_cumsum",),
    "ray.rllib.policy.dynamic_tf_policy_v2:DynamicTFPolicyV2": ("_get_loss_inputs_dict",),
    "ray.rllib.policy.tf_policy": ("get_gpu_devices",),
    "ray.rllib.env.env_runner_group:EnvRunnerGroup": ("_make_worker",),
    "ray.rllib.utils.actor_manager:FaultTolerantActorManager": (
        "actors", "is_actor_healthy", "add_actors", "actor_ids",
    ),
}  # fmt: skip

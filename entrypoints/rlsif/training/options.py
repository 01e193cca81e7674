"""What a user asked `train` for, and what that comes to on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from rlsif.cluster.resources import Cluster, Resources
from rlsif.envs.patience import PATIENCE
from rlsif.errors import InputError, check_at_least, counted
from rlsif.learning.spec import BF16, FLOAT32, Evaluation, Layout
from rlsif.training.stopping import Stop

EPISODES_OF_EVALUATION = 10
# Iterations between evaluations of what samples nothing, unless others were asked for.
EVERY_OF_OFFLINE = 5
# With fewer cores the learner plays the episodes itself.
CPUS_FOR_EVALUATION = 3
# Its updates are put on one device.
GPUS_OF_A_LEARNER = 1.0
# Of NumPy's generators.
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class TrainOptions:
    """The options of `train`, as given; None where the user said nothing."""

    env: str | None = None
    algo: str | None = None
    framework: str | None = None
    # Arguments of the environment, as KEY=VALUE.
    env_settings: tuple[str, ...] = ()
    # Wrappers, as NAME:k=v, the innermost first.
    wrap: tuple[str, ...] = ()
    # How an Atari game is played, as envs/atari.py has it.
    atari: str | None = None
    # Which policy acts for which of many agents, as learning/assignment.py has it, and which learn, with commas.
    policies: str | None = None
    train_policies: str | None = None
    # Who plays agents that do not learn: random, self, or the folder of a run or checkpoint; and how many iterations
    # lie between two policies of the run itself that are kept as opponents.
    opponent: str | None = None
    opponent_every: int | None = None
    seed: int | None = None
    # Whether rewards that are learned from are divided by the deviation of returns; None: as the preset says.
    normalize_rewards: bool | None = None
    # Recorded episodes to learn from.
    input: Path | None = None
    num_cpus: int | None = None
    num_gpus: float | None = None
    num_env_runners: int | None = None
    num_envs_per_env_runner: int | None = None
    # In which each env runner steps its environments; None: in its own.
    env_processes: int | None = None
    # In which the learner's hidden layers multiply, FLOAT32 or BF16.
    precision: str = FLOAT32
    local_mode: bool = False
    stop: Stop = field(default_factory=Stop)
    config_file: Path | None = None
    settings: tuple[str, ...] = ()
    # Seconds; an env runner that makes no step for so long ends the run.
    env_timeout: float = PATIENCE
    # Iterations between evaluations; None for no evaluation.
    evaluate_every: int | None = None
    evaluate_episodes: int | None = None
    checkpoint_every: int = 10
    keep_checkpoints: int = 3
    save_replay_buffer: bool = False
    resume: Path | None = None
    # Services that are told of the run, as tracking.SERVICES has them.
    log_to: tuple[str, ...] = ()
    # A class that is called while the run trains, as module:Class or file.py:Class.
    callbacks: str | None = None
    # The class of the network, where that is the user's own, as module:Class or file.py:Class.
    network: str | None = None
    # Columns to show while the run goes, beside those that are always shown.
    show: tuple[str, ...] = ()
    results_dir: Path = Path("~/ray_results")
    code_folder: Path = field(default_factory=Path.cwd)

    def __post_init__(self) -> None:
        """Check what can be checked without the machine. Raises InputError."""
        limits = {
            "--num-cpus": (self.num_cpus, 1),
            "--num-gpus": (self.num_gpus, 0),
            "--num-env-runners": (self.num_env_runners, 0),
            "--num-envs-per-env-runner": (self.num_envs_per_env_runner, 1),
            "--env-processes": (self.env_processes, 1),
            "--env-timeout": (self.env_timeout, 1),
            "--evaluate-every": (self.evaluate_every, 1),
            "--evaluate-episodes": (self.evaluate_episodes, 1),
            "--opponent-every": (self.opponent_every, 1),
            "--checkpoint-every": (self.checkpoint_every, 1),
            "--keep-checkpoints": (self.keep_checkpoints, 1),
            "--seed": (self.seed, 0),
        }
        check_at_least(limits)
        if self.seed is not None and self.seed > LARGEST_SEED:
            raise InputError(f"--seed is {self.seed}; it must be at most {LARGEST_SEED}")
        check_gpus("--num-gpus", self.num_gpus)
        if self.precision not in (FLOAT32, BF16):
            raise InputError(f"--precision is {self.precision!r}; it must be {FLOAT32} or {BF16}")
        if self.local_mode and (self.num_env_runners or self.env_processes or (self.num_cpus or 1) > 1):
            raise InputError(
                "--local-mode runs everything in one process; leave out --num-env-runners, --env-processes and"
                " --num-cpus"
            )


def check_gpus(option: str, given: float | None) -> None:
    """Refuse more GPUs than a learner uses. Raises InputError."""
    if given is not None and given > GPUS_OF_A_LEARNER:
        raise InputError(
            f"{option} is {given:g}, and a learner uses one GPU at most; use {option} 1, and other GPUs for other runs"
        )


def check_precision(planned: Layout, framework: str) -> None:
    """Refuse another precision than float32 where it is slower, or has no effect. Raises InputError."""
    if planned.precision == FLOAT32:
        return
    if not planned.num_gpus:
        raise InputError(
            f"--precision is {planned.precision}, and the learner of this run has no GPU; on CPU cores it would be"
            " slower: leave it out, or give --num-gpus 1"
        )
    if framework != "tf":
        raise InputError(
            f"--precision is {planned.precision}, and with --framework {framework} RLlib makes the updates, in float32;"
            " use --framework tf"
        )


def check_evaluated(options: TrainOptions) -> None:
    """Refuse episodes of evaluations that there are none of. Raises InputError."""
    if options.evaluate_episodes is not None and options.evaluate_every is None:
        raise InputError(
            f"--evaluate-episodes is {options.evaluate_episodes} and nothing is evaluated;"
            " say how often, as in --evaluate-every 10"
        )


def of_offline(options: TrainOptions, algo: str) -> TrainOptions:
    """The options of an algorithm that learns from recorded episodes: one process, and evaluations beside it.

    Raises InputError for env runners.
    """
    for name, given in (
        ("--num-env-runners", options.num_env_runners),
        ("--num-envs-per-env-runner", options.num_envs_per_env_runner),
        ("--env-processes", options.env_processes),
    ):
        if given:
            raise InputError(
                f"{name} is {given}, and {algo} learns from recorded episodes and samples none; leave it out"
            )
    return replace(
        options,
        num_env_runners=0,
        evaluate_every=options.evaluate_every or EVERY_OF_OFFLINE,
        stop=replace(options.stop, by_evaluation=True),
    )


def offline_layout(options: TrainOptions, cluster: Cluster) -> Layout:
    """On the nodes of a job: the learner's node does it all."""
    num_gpus = _gpus_of_job(options, cluster)
    evaluation = _evaluation(options, beside=cluster.learner_cpus > 1)
    return Layout(0, 1, num_gpus, cluster.learner_cpus, by_role=True, evaluation=evaluation)


def layout(options: TrainOptions, available: Resources, preset_envs: int) -> tuple[Layout, Resources]:
    """How many processes take part, and the resources they take of those there are. Raises InputError."""
    if options.num_cpus is not None and options.num_cpus > available.cpus:
        raise InputError(
            f"--num-cpus is {options.num_cpus}, but this process may use {available.cpus};"
            " see `taskset -p $$` or the job's limits"
        )
    num_gpus = options.num_gpus or 0.0
    if num_gpus > available.gpus:
        raise InputError(
            f"--num-gpus is {num_gpus:g}, but there are {available.gpus} here;"
            " for an NVIDIA GPU run with `apptainer exec --nv rl-gpu.sif`"
        )
    cpus = 1 if options.local_mode else options.num_cpus or available.cpus
    # With three cores or more, one of them plays the evaluation episodes beside the training.
    spare = int(options.evaluate_every is not None and cpus >= CPUS_FOR_EVALUATION)
    each = options.env_processes or 1
    runners = (cpus - 1 - spare) // each if options.num_env_runners is None else options.num_env_runners
    planned = Layout(
        num_env_runners=runners,
        num_envs_per_env_runner=options.num_envs_per_env_runner or preset_envs,
        num_gpus=num_gpus,
        learner_threads=1 if options.local_mode else options.num_cpus or available.cpus,
        local_mode=options.local_mode,
        env_processes=options.env_processes or 0,
    )
    beside = bool(spare) and planned.cores < cpus
    if options.num_cpus is None and not options.local_mode:
        cpus = planned.cores + beside
    _check_cores(planned, min(cpus, available.cpus))
    return (
        replace(planned, evaluation=_evaluation(options, beside)),
        Resources(cpus=cpus, gpus=-int(-num_gpus // 1), memory=available.memory),
    )


def _check_cores(planned: Layout, there: int) -> None:
    """Refuse env runners that take more cores than there are. Raises InputError."""
    runners, each = planned.num_env_runners, planned.cores_of_runner
    if planned.cores <= there:
        return
    if each > there or runners == 0:
        raise InputError(
            f"--env-processes is {each}, and this run has {there} CPUs; a process needs one: use {there} or fewer"
        )
    asked = counted(runners, "env runner") + _of_processes(planned.env_processes)
    raise InputError(
        f"{asked} and a learner need {planned.cores} CPUs, and this run has {there};"
        f" use --num-env-runners {(there - 1) // each} or fewer"
    )


def _of_processes(each: int) -> str:
    """What an env runner is made of, for a message; empty where it steps environments itself."""
    return f" of {each} process{'es' * (each != 1)} each" if each else ""


def cluster_layout(options: TrainOptions, cluster: Cluster, preset_envs: int) -> Layout:
    """The same for the nodes of a job: an env runner a rollout core, unless told otherwise. Raises InputError."""
    if options.local_mode:
        raise InputError("--local-mode is for one process; a job's nodes would have nothing to do")
    each = options.env_processes or 1
    most = cluster.env_runners(each)
    if most == 0 and options.env_processes:
        raise InputError(f"--env-processes is {each}, and no rollout node has as many CPUs; use fewer, or larger nodes")
    if most == 0:
        raise InputError(
            "no node of the job has a CPU for an env runner; give each one more, by --cpus-per-task of sbatch or --cpus"
            " of `slurm/rl submit`"
        )
    if options.num_env_runners is None and options.num_cpus and options.num_cpus <= each:
        raise InputError(
            f"--num-cpus is {options.num_cpus}, and the learner and an env runner need {1 + each}; use more, or leave"
            " it out"
        )
    asked = (options.num_cpus - 1) // each if options.num_cpus else most
    runners = options.num_env_runners if options.num_env_runners is not None else asked
    if not 1 <= runners <= most:
        processes, cpus = _of_processes(options.env_processes or 0), counted(cluster.rollout_cpus, "CPU")
        raise InputError(
            f"--num-env-runners is {runners}{processes} and the rollout nodes have {cpus};"
            f" use --num-env-runners {f'1 to {most}' if most > 1 else 1}, or give the job more rollout nodes"
        )
    return Layout(
        num_env_runners=runners,
        num_envs_per_env_runner=options.num_envs_per_env_runner or preset_envs,
        num_gpus=_gpus_of_job(options, cluster),
        learner_threads=cluster.learner_cpus,
        by_role=True,
        elastic=options.num_env_runners is None and options.num_cpus is None,
        evaluation=_evaluation(options, beside=cluster.learner_cpus > 1),
        env_processes=options.env_processes or 0,
    )


def _gpus_of_job(options: TrainOptions, cluster: Cluster) -> float:
    """The GPUs of the learner: one of its node's where there are some, unless told otherwise. Raises InputError."""
    if options.num_gpus is None:
        return min(GPUS_OF_A_LEARNER, cluster.learner_gpus)
    if options.num_gpus > cluster.learner_gpus:
        raise InputError(
            f"--num-gpus is {options.num_gpus:g}, but the learner node has {cluster.learner_gpus};"
            " give it one, by --gres=gpu:1 in the learner's group of sbatch, or --gpus 1 of `slurm/rl submit`"
        )
    return options.num_gpus


def _evaluation(options: TrainOptions, beside: bool) -> Evaluation | None:
    if options.evaluate_every is None:
        return None
    return Evaluation(options.evaluate_every, options.evaluate_episodes or EPISODES_OF_EVALUATION, beside)

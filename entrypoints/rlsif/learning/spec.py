"""What the learner is told: the settings of a run, and the processes that take part. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rlsif.envs.reference import EnvRef, WrapperRef, tuples
from rlsif.errors import InputError

# Iterations, unless others are asked for.
OPPONENT_EVERY = 10


@dataclass(frozen=True)
class ManyPolicies:
    """The policies of many agents, where they do not share one."""

    # As `--policies` had it.
    given: str
    # Of each agent, by its name.
    of_agents: Mapping[str, str]
    # Those that learn; the others keep their initial weights.
    train: tuple[str, ...]

    @classmethod
    def of(cls, given: str, views: Mapping[str, Any], train: Sequence[str] = ()) -> ManyPolicies:
        """Those of an environment, of which each policy has a view; without `train`, all learn."""
        of_agents = {agent: name for name, view in views.items() for agent in view.agents}
        return cls(given, of_agents, tuple(train) or tuple(views))

    @property
    def names(self) -> list[str]:
        """All policies, in the order of their agents."""
        return list(dict.fromkeys(self.of_agents.values()))

    @property
    def some_learn(self) -> tuple[str, ...]:
        """Those that learn, if others do not; none if all do."""
        return self.train if len(self.train) < len(self.names) else ()


@dataclass(frozen=True)
class RunSpec:
    """All that decides what is trained; a resumed run has the same one."""

    algo: str
    framework: str
    env: EnvRef
    seed: int | None = None
    # Hyperparameters that differ from RLlib's defaults, nested.
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    # None where agents share one policy, or there is one agent.
    policies: ManyPolicies | None = None
    # The file or folder of the recorded episodes that it learns from; None where it samples.
    input: str | None = None
    # The class of its network, where that is one of the user's own, as module:Class or file.py:Class.
    network: str | None = None
    # Whether rewards that are learned from are divided by the deviation of returns.
    normalize_rewards: bool = False
    # Who plays agents that do not learn: chance, earlier policies of the run itself, or the checkpoint of another run;
    # None where all agents are the run's.
    opponent: str | None = None
    # Iterations between two policies of the run that are kept as opponents.
    opponent_every: int = OPPONENT_EVERY

    @property
    def learners(self) -> tuple[str, ...]:
        """Of several policies those that learn, where an opponent plays the others; else none."""
        return self.policies.train if self.opponent and self.policies else ()

    def as_json(self) -> dict[str, Any]:
        """As params.json has it."""
        return {
            "algo": self.algo,
            "framework": self.framework,
            "env": self.env.name,
            "env_config": dict(self.env.arguments),
            "wrappers": [{"name": w.name, "arguments": dict(w.arguments)} for w in self.env.wrappers],
            "code_folder": self.env.code_folder,
            "seed": self.seed,
            "hyperparameters": dict(self.hyperparameters),
            "policies": asdict(self.policies) if self.policies else None,
            "input": self.input,
            "network": self.network,
            "normalize_rewards": self.normalize_rewards,
            "opponent": self.opponent,
            "opponent_every": self.opponent_every,
        }


def from_json(saved: Mapping[str, Any]) -> RunSpec:
    """What `as_json` gave. Raises KeyError, TypeError for what is no such thing."""
    wrappers = tuple(WrapperRef(w["name"], tuples(w["arguments"])) for w in saved.get("wrappers", []))
    env = EnvRef(saved["env"], saved.get("env_config", {}), saved.get("code_folder", "."), wrappers)
    policies = saved.get("policies")
    many = ManyPolicies(policies["given"], policies["of_agents"], tuple(policies["train"])) if policies else None
    given = {name: saved[name] for name in ("algo", "framework", "seed", "hyperparameters")}
    # Runs that were made before there were these have none of them.
    later = ("input", "network", "normalize_rewards", "opponent", "opponent_every")
    return RunSpec(env=env, policies=many, **given, **{name: saved[name] for name in later if name in saved})


# In which a network's layers multiply in compiled updates.
FLOAT32, BF16 = "float32", "bf16"


@dataclass(frozen=True)
class Evaluation:
    """Episodes that are played while a run trains, to see how good its policy is."""

    # Iterations between two, and the episodes of each.
    every: int
    episodes: int
    # In a process of their own beside the training; else the learner plays them.
    beside: bool


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
    # The iteration that a resumed run begins after.
    resumed_at: int = 0
    # None where nothing is evaluated.
    evaluation: Evaluation | None = None
    # Whether callbacks may set tasks of environments.
    tasks: bool = False
    # What tells the run from others on the same Ray, as trials are; empty where it is alone.
    run: str = ""
    # In which each env runner steps its environments; 0: in its own process.
    env_processes: int = 0
    # In which hidden layers multiply, FLOAT32 or BF16.
    precision: str = FLOAT32

    @property
    def cores_of_runner(self) -> int:
        """The cores that an env runner uses."""
        return max(1, self.env_processes)

    @property
    def cores(self) -> int:
        """Those of the learner and all env runners; a learner that samples uses those of one."""
        runners = self.num_env_runners * self.cores_of_runner
        return runners + 1 if runners else self.cores_of_runner


def check_sampler(spec: RunSpec, layout: Layout) -> None:
    """Refuse what RLlib's sampler would not honour. Raises InputError."""
    against = layout.rllib_samples
    if layout.env_processes and against:
        raise InputError(
            f"--env-processes is {layout.env_processes}, and RLlib samples this run, because {against}; its sampler"
            " steps environments in the env runner's own process: leave it out"
        )
    if spec.normalize_rewards and against:
        raise InputError(
            f"--normalize-rewards: RLlib samples this run, because {against}, and its sampler scales no rewards;"
            " give --no-normalize-rewards"
        )
    if spec.opponent and against:
        raise InputError(
            f"--opponent {spec.opponent}: RLlib samples this run, because {against}, and its sampler has no opponents;"
            " leave it out"
        )

"""What was asked for as `--opponent`, and whether it can play; everything wrong is refused here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rlsif.envs.duel import RANDOM
from rlsif.envs.find import FoundEnv, find
from rlsif.errors import InputError, near
from rlsif.learning import assignment
from rlsif.learning.spec import Layout, RunSpec
from rlsif.policies.actions import choices_of, policy_space
from rlsif.policies.spaces import agree
from rlsif.sampling.opponents import SELF
from rlsif.training import checkpoints, saved
from rlsif.training.options import TrainOptions

# Whether numbers that a policy chose are scaled to the bounds of actions, or cut off at them, unless a run has others.
ACTIONS: Mapping[str, bool] = {"normalize_actions": True, "clip_actions": False}
# Why RLlib samples a run; None where it is sampled in NumPy.
Samples = Callable[[RunSpec, Layout, FoundEnv], "str | None"]


def named(given: str | None) -> str | None:
    """What was given to `--opponent`, with the checkpoint for a run. Raises InputError where there is none."""
    if given is None or given in (RANDOM, SELF):
        return given
    path = Path(given)
    if not path.exists():
        raise InputError(
            f"--opponent is {given!r}, which is neither a run nor a checkpoint{near(given, (RANDOM, SELF))}; it takes"
            f" {SELF}, {RANDOM}, or the folder of one"
        )
    return str(saved.checkpoint_of(path, "--opponent", saved.BEST))


def as_asked(given: str | None, has: str | None) -> str | None:
    """What `--opponent` means beside the opponent that a resumed run has; a run's checkpoint may have gone since."""
    if given in (None, RANDOM, SELF) or has in (None, RANDOM, SELF):
        return given
    asked, kept = Path(str(given)).expanduser().absolute(), Path(str(has))
    return has if asked in (kept, kept.parent.parent) else given


def check(options: TrainOptions, spec: RunSpec, env: FoundEnv, samples: Samples) -> None:
    """Refuse an opponent that cannot play in the environment. Raises InputError."""
    if options.opponent_every is not None and spec.opponent != SELF:
        raise InputError(
            f"--opponent-every is {options.opponent_every}, and no policies of the run itself are kept as opponents;"
            f" use it with --opponent {SELF}"
        )
    if spec.opponent is None:
        return
    if len(env.agents) < 2:
        raise InputError(
            f"--opponent {options.opponent} needs several agents, and {env.ref.short} has one; leave it out"
        )
    _check_policies(str(options.opponent), spec)
    if spec.opponent not in (RANDOM, SELF):
        _check_run(str(options.opponent), Path(spec.opponent), spec, env, samples)


def _check_policies(given: str, spec: RunSpec) -> None:
    """Refuse policies of which an opponent plays none, or that have no earlier ones."""
    many = spec.policies
    if many is None:
        return
    if len(many.names) == 1:
        raise InputError(
            f"--opponent {given} plays all agents but one where they share a policy, and --policies {many.given} gives"
            f" all of them {many.names[0]!r}; leave --policies out, which is the same"
        )
    if given == SELF:
        raise InputError(
            f"--opponent {SELF} lets one policy play against earlier ones of its own, and --policies {many.given} has"
            " several; leave --policies out, or name another run"
        )
    if not many.some_learn:
        raise InputError(
            f"--opponent {given} plays for the policies that do not learn, and all of --policies {many.given} do; name"
            " those that learn by --train-policies"
        )


def _check_run(given: str, checkpoint: Path, spec: RunSpec, env: FoundEnv, samples: Samples) -> None:
    """Refuse a run that was trained for something else, or cannot act in NumPy."""
    checkpoints.check(checkpoint)
    folder = checkpoint.parent.parent
    trained = saved.spaces_of(folder)
    if trained is None:
        raise InputError(
            f"--opponent {given} was trained by an older version, which kept no spaces of many agents; train another"
            " one"
        )
    if not agree(trained, env.described):
        raise InputError(
            f"--opponent {given} was trained with {trained}, and {env.ref.short} has {env.described}; an opponent needs"
            " the same spaces"
        )
    its = saved.moved(saved.spec_of(folder), env.ref.name, None, Path(env.ref.code_folder))
    lacks = [agent for agent in env.agents if its.policies and agent not in its.policies.of_agents]
    if lacks:
        raise InputError(
            f"--opponent {given} has no policy for agent {lacks[0]!r}; it was trained with"
            f" {', '.join(its.policies.of_agents if its.policies else ())}"
        )
    for name, default in ACTIONS.items():
        is_, was = (bool(each.hyperparameters.get(name, default)) for each in (spec, its))
        if is_ != was and any(_has_numbers(view) for view in env.views.values()):
            raise InputError(f"--opponent {given} was trained with {name}={was}, and this run has {is_}; use the same")
    theirs = env if its.policies == spec.policies else find(env.ref, assignment.of_run(its.policies))
    against = samples(its, Layout(0, 1, 0.0, 1), theirs)
    if against:
        raise InputError(
            f"--opponent {given} cannot act in NumPy, because {against}; opponents act there, so train one that does"
        )


def _has_numbers(view: FoundEnv) -> bool:
    space: Any = policy_space(view.actions)
    return choices_of(space) is not space

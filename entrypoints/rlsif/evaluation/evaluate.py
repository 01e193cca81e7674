"""How good the agent of a checkpoint is."""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsif.envs import duel
from rlsif.envs.code import add_code_folder
from rlsif.envs.episodes import AT_ONCE, MOST_STEPS, Acts, Episode, most_steps, play
from rlsif.envs.find import FoundEnv, find, make
from rlsif.envs.task import set_task
from rlsif.errors import InputError, RlsifError, check_at_least
from rlsif.evaluation import video
from rlsif.evaluation.drawing import Drawing
from rlsif.evaluation.recording import RecordedAgent, RecordedEnv, Recording
from rlsif.evaluation.video import Video
from rlsif.evaluation.waiting import Waiting, bound_of, to_standard_error
from rlsif.learning import assignment
from rlsif.learning.spec import RunSpec
from rlsif.sampling.opponents import SELF
from rlsif.training import checkpoints, saved
from rlsif.training.process import noise_into
from rlsif.training.results import means, own_numbers


@dataclass(frozen=True)
class Evaluation:
    """What is asked for: whose agent, how many episodes, and how it acts."""

    run: Path
    # A checkpoint of the run: saved.BEST, saved.LAST, or its iteration.
    which: str | int = saved.BEST
    episodes: int = 20
    seed: int = 0
    # The likeliest action; else actions are drawn as in training.
    deterministic: bool = True
    video: Path | None = None
    # Where the environment is now, if its module or file was moved.
    env: str | None = None
    # Who plays the other agents: another run or checkpoint, or duel.RANDOM.
    against: str | None = None
    # A folder that gets a file of the episodes.
    record: Path | None = None
    # Where the run's own network is now, if its module or file was moved.
    network: str | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without the run. Raises InputError."""
        check_at_least({"--episodes": (self.episodes, 1), "--seed": (self.seed, 0)})
        if self.video:
            video.check(self.video)
        if self.record and self.against:
            raise InputError("--record keeps what one agent does, and --against has several; give one of the two")


def evaluate(asked: Evaluation) -> dict[str, Any]:
    """Play the episodes; give their statistics. Raises InputError, and RlsifError where the environment fails."""
    checkpoint = saved.checkpoint_of(asked.run, "RUN", asked.which)
    progress = checkpoints.check(checkpoint)
    folder = checkpoint.parent.parent
    spec = saved.spec_of(folder)
    add_code_folder(str(Path.cwd()))
    spec = saved.moved(spec, asked.env, asked.network, Path.cwd())
    saved.check_same(spec.env, asked.env, Path.cwd())
    video.without_display()
    packages = saved.told_of_packages(folder)
    if packages:
        print(f"warning: {packages}", file=sys.stderr)
    env = find(spec.env, assignment.of_run(spec.policies))
    saved.check_spaces(folder, env)
    opponent = _opponent(asked, spec, env)
    episodes, record = _played(asked, spec, env, checkpoint, progress, opponent)
    # Where nobody was named, a run's own opponent.
    against = opponent or (duel.RANDOM if spec.opponent == SELF else spec.opponent)
    sides = episodes, env.agents, env.agents_of(spec.learners)
    return {
        "algo": spec.algo,
        "env": spec.env.name,
        "checkpoint": str(checkpoint),
        "training_iteration": progress.training_iteration,
        "num_env_steps_sampled_lifetime": progress.num_env_steps_sampled_lifetime,
        "deterministic": asked.deterministic,
        "seed": asked.seed,
        **_statistics(episodes),
        "against": {"opponent": str(against), **duel.results(*sides)} if against else None,
        "video": str(asked.video.absolute()) if asked.video else None,
        "record": str(record) if record else None,
    }


def _played(
    asked: Evaluation,
    spec: RunSpec,
    env: FoundEnv,
    checkpoint: Path,
    progress: checkpoints.Progress,
    opponent: Path | str | None,
) -> tuple[list[Episode], Path | None]:
    """Play the episodes; give them, and the file that they were recorded into."""
    # A time limit of the environment ends every episode.
    most = MOST_STEPS if env.max_episode_steps else most_steps(progress.lengths)
    with (
        tempfile.TemporaryDirectory() as private,
        to_standard_error() as say,
        noise_into(Path(private) / "noise"),
        _environments(asked, spec) as environments,
        _recording(asked, environments[0]) as shoot,
        _record(asked, env, checkpoint) as recording,
    ):
        for environment in environments if progress.task else ():
            set_task(environment, progress.task[0])
        slots = len(environments) * max(1, len(env.agents))
        agent = _agent(checkpoint, spec, env, slots, asked.seed, opponent)
        tables: list[Any] = environments
        if recording:
            recording.about["normalize_actions"] = agent.normalizes
            agent = RecordedAgent(agent)
            tables = [RecordedEnv(each, agent, slot, recording) for slot, each in enumerate(environments)]
        waiting = Waiting(bound_of(env.max_episode_steps, most), say)

        def watch(episode: Episode) -> None:
            shoot(episode)
            waiting(episode)

        episodes = play(agent, tables, asked.episodes, asked.seed, asked.deterministic, watch, most, agents=env.agents)
    return episodes, recording.path if recording else None


@contextlib.contextmanager
def _record(asked: Evaluation, env: FoundEnv, checkpoint: Path) -> Iterator[Recording | None]:
    """Give what records the episodes, if they are to be, and put its file in its place at the end."""
    if asked.record is None:
        yield None
        return
    about = {"checkpoint": str(checkpoint), "seed": asked.seed, "deterministic": asked.deterministic}
    mine = Recording(asked.record, env, about)
    try:
        yield mine
        mine.finish()
    finally:
        mine.drop()


def _opponent(asked: Evaluation, spec: RunSpec, env: FoundEnv) -> Path | str | None:
    """The checkpoint that plays the other agents, or duel.RANDOM; None where nobody does. Raises InputError."""
    if asked.against is None:
        return None
    if len(env.agents) < 2:
        raise InputError(f"--against needs an environment of several agents, and {spec.env.short} has one")
    if asked.against == duel.RANDOM:
        return duel.RANDOM
    checkpoint = saved.checkpoint_of(Path(asked.against), "--against", saved.BEST)
    checkpoints.check(checkpoint)
    folder = checkpoint.parent.parent
    saved.check_spaces(folder, env)
    theirs = saved.spec_of(folder).framework
    if theirs != spec.framework:
        raise InputError(
            f"--against {asked.against} was trained with --framework {theirs}, and this run with {spec.framework};"
            " a process can have only one of the two"
        )
    return checkpoint


def _agent(
    checkpoint: Path, spec: RunSpec, env: FoundEnv, slots: int, seed: int, opponent: Path | str | None = None
) -> Any:
    """What acts by a checkpoint, against an opponent; where none was named, against that of its run, if it has one."""
    # Takes seconds to import, with TensorFlow.
    from rlsif.learning.opponents import acting_against, fixed, plays, pool_of
    from rlsif.learning.saved_policy import acting, load

    loaded = load(checkpoint, spec.framework, seed, env.views, spec.network)
    if opponent is None and spec.opponent is None:
        return acting(*loaded, env, slots)
    if isinstance(opponent, Path):
        theirs = _other(opponent, spec, env, slots, seed)
    else:
        theirs = plays(None if opponent else fixed(spec.opponent, pool_of(checkpoint)), env, slots, seed)
    return acting_against(*loaded, env, slots, spec.learners, theirs)


def _other(checkpoint: Path, spec: RunSpec, env: FoundEnv, slots: int, seed: int) -> Acts:
    """What acts for all agents by another run's checkpoint, whose agents may have other policies than this run's."""
    from rlsif.learning.saved_policy import acting, load

    its = saved.moved(saved.spec_of(checkpoint.parent.parent), spec.env.name, None, Path(spec.env.code_folder))
    theirs = env if its.policies == spec.policies else find(env.ref, assignment.of_run(its.policies))
    return acting(*load(checkpoint, its.framework, seed, theirs.views, its.network), theirs, slots)


@contextlib.contextmanager
def _environments(asked: Evaluation, spec: RunSpec) -> Iterator[list[Any]]:
    """As many as play at once; the first one draws where a video is asked for."""
    made = [make(spec.env)]
    if asked.video:
        video.check_drawing(spec.env.name, made[0])
        made[0].close()
        made = [_drawing(spec)]
    made += [make(spec.env) for _ in range(min(asked.episodes, AT_ONCE) - 1)]
    try:
        yield made
    finally:
        for env in made:
            env.close()


def _drawing(spec: RunSpec) -> Any:
    """The environment that draws. Raises InputError where it cannot be asked to."""
    try:
        return Drawing(spec.env)
    except TypeError as problem:
        raise InputError(
            f"--video: environment {spec.env.name!r} takes no render_mode ({problem}); give it that argument"
        ) from problem


@contextlib.contextmanager
def _recording(asked: Evaluation, env: Any) -> Iterator[Callable[[Episode], None]]:
    """Give what records the first episode, when it is called after every reset and step of any."""
    if asked.video is None:
        yield lambda _: None
        return
    mine = Video(asked.video.absolute(), env)

    def watch(episode: Episode) -> None:
        if episode.seed == asked.seed:
            mine.shoot()

    try:
        yield watch
        mine.finish()
    except OSError as problem:
        raise RlsifError(f"--video {asked.video} was not written: {problem.strerror or problem}") from problem
    finally:
        mine.drop()


def _statistics(episodes: list[Episode]) -> dict[str, Any]:
    returns, lengths = [e.total_reward for e in episodes], [e.length for e in episodes]
    return {
        "episodes": len(episodes),
        "return_mean": statistics.fmean(returns),
        "return_std": statistics.pstdev(returns),
        "return_min": min(returns),
        "return_max": max(returns),
        "length_mean": statistics.fmean(lengths),
        "custom": own_numbers([e.metrics for e in episodes]),
        "agents": means([e.agents for e in episodes]),
        "returns": returns,
        "lengths": lengths,
    }

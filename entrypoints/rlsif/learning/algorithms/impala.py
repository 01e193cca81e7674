"""IMPALA."""

from rlsif.learning.descriptor import Algorithm

ALGORITHM = Algorithm(
    name="IMPALA",
    frameworks=("tf",),
    action_spaces=("Discrete", "MultiDiscrete", "Box", "mixed"),
    note="with tf2, RLlib's learner waits indefinitely",
    sampler="rlsif.sampling.samplers:VTraceSampler",
    masked_model="MaskedActorCritic",
    own_network=True,
    fixes=("rlsif.learning.compiled_async:CompiledAsync",),
    check="rlsif.learning.checks:check_vtrace",
    uncompiled="rlsif.learning.compiled_async:uncompiled",
)

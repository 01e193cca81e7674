"""What there is to say of an algorithm, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from rlsif.sampling.samplers import Sampler


@dataclass(frozen=True)
class Algorithm:
    """All that there is to say of an algorithm. `module:Name` names what is imported by those who need it."""

    # RLlib's; its module is ray.rllib.algorithms.<name in lower case>.
    name: str
    frameworks: tuple[str, ...]
    # Kinds of actions that its policy can choose, after every space came down to one of CHOICES.
    action_spaces: tuple[str, ...]
    note: str
    # The sampler in NumPy; without one RLlib's own is used.
    sampler: Optional[str] = None
    # The one for networks with an LSTM; without it RLlib's own is used for those.
    recurrent_sampler: Optional[str] = None
    # Classes that go before RLlib's: what it has wrong, and a faster update.
    fixes: tuple[str, ...] = ()
    # Whether it learns from recorded episodes, and samples none.
    offline: bool = False
    # The model in `learning/masked_models.py` that masks illegal actions; None where masks are not honoured.
    masked_model: Optional[str] = None
    # Whether the policy's network may be one of the user's own, `learning/own_model.py`.
    own_network: bool = False
    # Whether its policy is another where RLlib knows that actions are between -1 and 1.
    squashes_actions: bool = False
    # `module:function` that refuses settings which RLlib takes for it, and with which it fails later; called with
    # config and name.
    check: Optional[str] = None
    # `module:function` that says of its config why RLlib makes the updates; None where a recurrent network or another
    # framework than tf alone is why.
    uncompiled: Optional[str] = None
    # Settings that RLlib takes for it and nothing reads, `*` standing for any letters, by what to use in their place.
    without_effect: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Settings that must stay 0, with what to say of others.
    stay_zero: Mapping[str, str] = field(default_factory=dict)
    # Settings that RLlib's defaults, made for its new stack, have wrong for the old one.
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def compiled(self) -> bool:
        """Whether many updates are one call of TensorFlow, with framework tf."""
        return any(name.startswith("rlsif.learning.compiled_") for name in self.fixes)

    @property
    def replays(self) -> bool:
        """Whether it learns from a replay buffer."""
        return "replay_buffer_config" in self.defaults

    def sampler_class(self, *, recurrent: bool = False) -> type[Sampler] | None:
        """The sampler in NumPy, for networks with an LSTM where there is one for those; None where there is none."""
        name = self.recurrent_sampler if recurrent and self.recurrent_sampler else self.sampler
        return imported(name) if name else None

    def classes(self) -> list[type]:
        """The classes that go before RLlib's."""
        return [imported(name) for name in self.fixes]


def imported(name: str) -> Any:
    """What `module:Name` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)

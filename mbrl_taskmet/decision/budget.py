"""Budget allocation: which two of five websites to advertise on, by predicted click rates."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl_taskmet.decision.problem import Data, Range, Sense, Split, nothing
from mbrl_taskmet.decision.streams import stream
from mbrl_taskmet.decision.subsets import best_choice, soft_choice, subsets
from mbrl_taskmet.suggestion import check_choice


@dataclass(frozen=True)
class Regime:
    """How the synthetic click rates are drawn.

    Attributes:
        density: share of the rates that are not zero.
        num_nuisance: random numbers mixed into the features of an item, beside its rates, so that
            the features do not tell the rates.
    """

    density: float
    num_nuisance: int = 0


REGIMES: Mapping[str, Regime] = {
    "sparse": Regime(0.03),
    "medium": Regime(0.1),
    "dense": Regime(1.0),
    "mixed": Regime(0.03, num_nuisance=10),
    "nuisance": Regime(0.03, num_nuisance=50),
}
"""By name. Without nuisance the features tell all rates, as in the published task; its public
variations mix random numbers in to make it harder, as many as the rates in `mixed`, more in
`nuisance`."""


@dataclass(frozen=True)
class Budget:
    """Maximise f(y, z) = Σ_t [1 − Π_i (1 − z_i y_it)], the users reached, with two of five items.

    The task of the published numbers (Wilder et al. 2019, arXiv 1809.05504) on **synthetic** rates,
    since the click data behind those are not public: rates are zero, or heavy-tailed (log-normal,
    at most one). An item's features are a fixed random linear map of its standardised rates.

    A decision is a distribution over the ten subsets, a hard one has all its mass on one.

    Attributes:
        seed: of the data and of the map.
        regime: how the rates are drawn, a name in `REGIMES`.
        num_items: of an instance.
        num_targets: users, to each of whom an item has a rate.
        budget: items to choose.
        sizes: instances to train on, to choose by and to report on.
        temperature: of the relaxed choice, in users reached.
    """

    seed: int = 0
    regime: str = "sparse"
    num_items: int = 5
    num_targets: int = 10
    budget: int = 2
    sizes: tuple[int, int, int] = (80, 20, 500)
    temperature: float = 0.02

    def __post_init__(self) -> None:
        check_choice("regime of budget", self.regime, REGIMES)

    @property
    def sense(self) -> Sense:
        """Many users are to be reached."""
        return "maximize"

    @property
    def target_range(self) -> Range:
        """A rate is a probability. More of it reaches more users only between 0 and 1."""
        return (0.0, 1.0)

    def split(self) -> Split:
        """Draw rates and features; the rates are standardised by the training data."""
        regime = REGIMES[self.regime]
        generator = stream(self.seed, "data")
        sources = self.num_targets + regime.num_nuisance
        mixing = torch.randn(sources, self.num_targets, generator=generator) / sources**0.5
        rates = [self._draw_rates(size, regime.density, generator) for size in self.sizes]
        mean, std = rates[0].mean((0, 1)), rates[0].std((0, 1)).clamp_min(1e-6)

        def observe(y: Tensor) -> Data:
            nuisance = torch.randn(*y.shape[:2], regime.num_nuisance, generator=generator)
            return Data(torch.cat([(y - mean) / std, nuisance], -1) @ mixing, y, nothing(len(y)))

        return Split(*map(observe, rates))

    def _draw_rates(self, size: int, density: float, generator: torch.Generator) -> Tensor:
        shape = (size, self.num_items, self.num_targets)
        heavy_tailed = 0.1 * torch.randn(shape, generator=generator).exp()
        there = torch.rand(shape, generator=generator) < density
        return heavy_tailed.clamp_max(1.0) * there

    def decision(self, y_hat: Tensor, aux: Tensor, *, relaxed: bool = False) -> Tensor:
        """Which subset: (B, I, T) → (B, subsets)."""
        values = self.reached(y_hat)
        return soft_choice(values, self.temperature) if relaxed else best_choice(values)

    def objective(self, y: Tensor, z: Tensor, aux: Tensor) -> Tensor:
        """f(y, z), the mean over the subsets if z is relaxed."""
        return (z * self.reached(y)).sum(-1)

    def reached(self, y: Tensor) -> Tensor:
        """Users reached by each subset: (B, I, T) → (B, subsets)."""
        chosen = subsets(self.num_items, self.budget).to(y.dtype)
        missed = (1 - chosen[:, :, None] * y[:, None]).prod(-2)
        return (1 - missed).sum(-1)

"""LODL: for each instance a local loss that imitates what errors cost the decision there."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from mbrl_taskmet.adam import Adam, adam_init
from mbrl_taskmet.decision.fitting import Descent, Fit, check_counts, check_positive
from mbrl_taskmet.decision.forms import Directed
from mbrl_taskmet.decision.methods import check_alpha, descend, regularized
from mbrl_taskmet.decision.problem import Data, Problem, TaskLoss, check_data, sign_of, worth_of
from mbrl_taskmet.forms import Cholesky, Diagonal, Weighing
from mbrl_taskmet.networks import Network
from mbrl_taskmet.suggestion import check_choice

Family = Literal["weighted_mse", "directed", "quadratic"]

FAMILIES: Mapping[Family, Callable[[int], Weighing]] = {
    "weighted_mse": lambda n: Diagonal(n, normalize=False),
    "directed": Directed,
    "quadratic": lambda n: Cholesky(n, normalize=False),
}
"""Local losses eᵀ Λ e of the errors e of all targets of an instance."""


@dataclass(frozen=True, kw_only=True)
class LODL:
    """Locally optimised decision losses (Shah et al. 2022, arXiv 2203.16067) + α MSE.

    Around the truth y of each instance, predictions are sampled and decided by, and what they lose
    against the oracle is imitated by eᵀ Λ e, e = ŷ − y, with a Λ of the instance's own. Then the
    predictor descends on these local losses. No decision needs to be differentiated.

    Attributes:
        alpha: α, the weight of the mean squared error.
        family: of the local losses: a weight for each target, one for each target and sign of its
            error, or a full matrix.
        num_samples: of each instance.
        sample_std: of the samples around the truth, in units of the targets' standard deviation.
        fit_steps: of Adam on the local losses.
        fit_learning_rate: of these steps.
        descent: of the predictor.
    """

    alpha: float = 0.0
    family: Family = "weighted_mse"
    num_samples: int = 500
    sample_std: float = 1.0
    fit_steps: int = 200
    fit_learning_rate: float = 5e-2
    descent: Descent = field(default_factory=Descent)

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_counts(num_samples=self.num_samples, fit_steps=self.fit_steps)
        check_positive(sample_std=self.sample_std, fit_learning_rate=self.fit_learning_rate)
        check_choice("family of local losses", self.family, FAMILIES)

    def fit(
        self,
        problem: Problem,
        network: Network,
        train: Data,
        validation: Data,
        generator: torch.Generator,
    ) -> Fit:
        """Fit the local losses, then the predictor to them; validation has local losses too."""
        check_data(train)
        check_data(validation)
        losses = [
            regularized(self.local_loss(problem, data, generator), self.alpha)
            for data in (train, validation)
        ]
        return descend(self.descent, network, train, validation, losses[0], generator, losses[1])

    def local_loss(self, problem: Problem, data: Data, generator: torch.Generator) -> TaskLoss:
        """The mean local loss of predictions on just these data."""
        errors, regrets = self.sample(problem, data, generator)
        # In these units a Λ of one costs what errors cost on the average: the fit starts there.
        unit = regrets.mean() / errors.square().sum(-1).mean()
        raw = self.imitate(errors, regrets / unit)
        form = FAMILIES[self.family](errors.shape[-1])

        def loss(y_hat: Tensor, data: Data) -> Tensor:
            error = (y_hat - data.targets).flatten(1)
            return unit * (error * form.product(raw)(error)).sum(-1).mean()

        return loss

    def sample(
        self, problem: Problem, data: Data, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Errors around the truth, (B, K, I T), and what they cost the decision, (B, K).

        Samples stay within the range of the targets, since predictions do.

        Raises:
            ValueError: if no sampled error costs anything.
        """
        y, sign = data.targets, sign_of(problem.sense)
        low, high = problem.target_range or (-math.inf, math.inf)
        best = worth_of(problem, y, data)
        errors, regrets = [], []
        for _ in range(self.num_samples):
            noise = torch.randn(y.shape, generator=generator, dtype=y.dtype)
            sample = (y + self.sample_std * y.std() * noise).clamp(low, high)
            errors.append((sample - y).flatten(1))
            regrets.append(sign * (best - worth_of(problem, sample, data)))
        found = torch.stack(regrets, 1)
        if not found.mean() > 0:
            raise ValueError(
                "No sampled error changes what the decisions are worth, so that there is nothing "
                "to imitate: raise sample_std."
            )
        return torch.stack(errors, 1), found

    def imitate(self, errors: Tensor, regrets: Tensor) -> Tensor:
        """Raw numbers of each instance's Λ with eᵀ Λ e ≈ regret: (B, K, n), (B, K) → (B, R)."""
        form = FAMILIES[self.family](errors.shape[-1])

        def misfit(raw: Tensor) -> Tensor:
            return mse_loss((errors * _apply(form, raw, errors)).sum(-1), regrets)

        raw = form.identity().to(errors.dtype).repeat(len(errors), 1)
        adam, moments = Adam(self.fit_learning_rate), adam_init(raw)
        for _ in range(self.fit_steps):
            gradient = torch.func.grad(misfit)(raw)
            raw, moments = adam.step(raw, gradient, moments)
        return raw


def _apply(form: Weighing, raw: Tensor, errors: Tensor) -> Tensor:
    """Each instance's Λ applied to all its errors: (B, R), (B, K, n) → (B, K, n)."""
    applied: Tensor = torch.func.vmap(lambda r, e: form.product(r)(e))(raw, errors)
    return applied

"""Portfolio: what to hold tomorrow, by predicted returns and a known risk."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from mbrl_taskmet.decision.prices import load_prices
from mbrl_taskmet.decision.problem import Data, Sense, Split
from mbrl_taskmet.decision.simplex_qp import simplex_qp

LAGS = 11
"""Daily returns among the features: the day's own and the ten before."""

WINDOWS = (3, 7, 30, 120, 365)
"""Days over which prices are summarised."""

HORIZON = 10
"""Days that follow: the first gives the return to be predicted, the others the risk."""


@dataclass(frozen=True)
class Portfolio:
    """Maximise f(p, z) = pᵀz − λ zᵀΣz over the simplex, p the next day's returns.

    Σ is the correlation matrix of the returns on the nine days after the next, plus 0.1 I, known to
    the decision and used alike in its score (Wang et al. 2020, arXiv 2006.10815; λ and sizes as in
    LODL, arXiv 2203.16067). An instance is a day, an item a stock. The days are consecutive.

    Attributes:
        prices: a name that `load_prices` knows.
        risk_aversion: λ.
        sizes: days to train on, to choose by and to report on.
    """

    prices: str = "sp500"
    risk_aversion: float = 0.1
    sizes: tuple[int, int, int] = (200, 200, 400)

    @property
    def sense(self) -> Sense:
        """Return less risk is to be high."""
        return "maximize"

    @property
    def target_range(self) -> None:
        """A return is any number."""
        return None

    def split(self) -> Split:
        """Features, returns and risks of consecutive days.

        Features are standardised by the training days only.

        Raises:
            ValueError: if the prices do not hold so many days.
        """
        prices = load_prices(self.prices)
        needed = max(WINDOWS) + 1 + sum(self.sizes) + HORIZON
        if len(prices) < needed:
            raise ValueError(
                f"These sizes need {needed} days of prices, and {self.prices!r} has "
                f"{len(prices)}: choose smaller sizes."
            )
        prices = prices[:needed]
        days = torch.arange(max(WINDOWS), max(WINDOWS) + sum(self.sizes))
        returns = prices[1:] / prices[:-1] - 1  # row d is the return of day d + 1
        features = torch.stack([price_features(prices[: day + 1]) for day in days])
        known = features[: self.sizes[0]]
        features = (features - known.mean((0, 1))) / known.std((0, 1)).clamp_min(1e-12)
        data = Data(
            features.float(),
            returns[days].unsqueeze(-1).float(),
            torch.stack([risk(returns[day + 1 : day + HORIZON]) for day in days]).float(),
        )
        ends = torch.tensor((0, *self.sizes)).cumsum(0).tolist()
        return Split(*(data.part(slice(*part)) for part in pairwise(ends)))

    def decision(self, y_hat: Tensor, aux: Tensor, *, relaxed: bool = False) -> Tensor:
        """Shares of the stocks: (B, I, 1), Σ of shape (B, I, I) → (B, I). Smooth as it is."""
        return simplex_qp(y_hat.squeeze(-1), 2 * self.risk_aversion * aux)

    def objective(self, y: Tensor, z: Tensor, aux: Tensor) -> Tensor:
        """f(p, z) = pᵀz − λ zᵀΣz."""
        risk = (z.unsqueeze(-2) @ aux @ z.unsqueeze(-1)).flatten()
        return (y.squeeze(-1) * z).sum(-1) - self.risk_aversion * risk


def price_features(prices: Tensor) -> Tensor:
    """What is known of each stock at the last of these days: (days, stocks) → (stocks, 28).

    Its daily returns, its returns over longer spans, mean and variance of the last week's returns;
    mean and deviation of its prices over several windows and the highest of them, relative to the
    last price, so that no feature drifts away with the price.
    """
    last = prices[-1]
    daily = prices[-LAGS:] / prices[-LAGS - 1 : -1] - 1
    week = prices[-7:] / prices[-8:-1] - 1
    spans = [last / prices[-1 - span] - 1 for span in WINDOWS[1:]]
    windows = [prices[-window:] / last for window in WINDOWS]
    columns = [
        *daily,
        *spans,
        week.mean(0),
        week.var(0),
        *(window.mean(0) - 1 for window in windows),
        *(window.std(0) for window in windows),
        windows[-1].amax(0) - 1,
    ]
    return torch.stack(columns, -1)


def risk(returns: Tensor) -> Tensor:
    """Σ, the correlation of returns plus 0.1 I: (days, stocks) → (stocks, stocks)."""
    centred = returns - returns.mean(0)
    # A stock that does not move is correlated with none.
    unit = centred / torch.linalg.vector_norm(centred, dim=0).clamp_min(1e-12)
    identity = torch.eye(returns.shape[1], dtype=returns.dtype)
    return torch.where(identity > 0, 1.1, unit.mT @ unit)

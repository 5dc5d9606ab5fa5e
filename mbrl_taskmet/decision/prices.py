"""Daily closing prices of stocks, from packages that anyone can install."""

import gzip
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mbrl_taskmet.suggestion import check_choice

TSE_STOCKS = 50
"""As many as in the published study; the file has 88."""


def load_prices(name: str) -> Tensor:
    """Prices by day and stock, oldest first, shape (days, stocks), in double precision.

    - `sp500`: 20 stocks of the S&P 500, the last 1,200 trading days before 2017; in this
      package.
    - `tse`: 50 stocks of the Toronto Stock Exchange, 1,259 days, in units of the day before them;
      read from the installed distribution `universal-portfolios`.

    Raises:
        ValueError: if there is no such set of prices.
        ImportError: if its distribution is not installed.
    """
    check_choice("set of prices", name, PRICES)
    return torch.from_numpy(PRICES[name]())


def _sp500() -> np.ndarray:
    packed = files("mbrl_taskmet.decision").joinpath("data/sp500.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()
    return np.array([[float(price) for price in line.split(",")[1:]] for line in lines[1:]])


def _tse() -> np.ndarray:
    # The file alone is wanted: importing the package would need all that it depends on.
    spec = find_spec("universal")
    if spec is None or spec.origin is None:
        raise ImportError(
            "The prices 'tse' come with another package: pip install --no-deps universal-portfolios"
        )
    path = Path(spec.origin).parent / "data" / "tse.csv"
    prices = np.genfromtxt(path, delimiter=",", skip_header=1)
    return prices[:, :TSE_STOCKS]


PRICES: Mapping[str, Callable[[], np.ndarray]] = {"sp500": _sp500, "tse": _tse}
"""What reads the prices, by name."""

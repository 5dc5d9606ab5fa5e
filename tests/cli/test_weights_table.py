"""The table in which the command line shows learned weights."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from mbrl_taskmet.agents import MetricWeights
from mbrl_taskmet.cli.weights_table import weights_table


def test_a_table_shows_names_as_they_are():
    console = Console(width=60)
    with console.capture() as shown:
        console.print(weights_table(MetricWeights(("pos[x]", "pos[/y]"), np.ones(2))))
    assert "pos[x]" in shown.get()
    assert "pos[/y]" in shown.get()


def test_the_table_has_a_column_for_all_that_is_known():
    numbers = np.array([1.0, 2.0])
    bare = MetricWeights(tuple("ab"), numbers)
    scaled = MetricWeights(tuple("ab"), numbers, 3 * numbers, 0.1 * numbers)
    spread = replace(scaled, quantiles=np.arange(5.0)[:, None] * numbers)
    titles = [
        [column.header for column in weights_table(w).columns] for w in (bare, scaled, spread)
    ]
    assert titles[0] == ["rank", "dimension", "weight", ""]
    assert titles[1] == ["rank", "dimension", "weight", "per std", "per unit", ""]
    assert titles[2] == ["rank", "dimension", "weight", "per std", "per unit", "5–95 %"]
    cells = [next(iter(column.cells)) for column in weights_table(spread).columns]
    assert cells == ["1", "b", "2.00", "6.00", "0.200", "0–8"]


@pytest.mark.parametrize("rows", [None, 2, 9])
def test_the_table_shows_the_heaviest_dimensions_first(rows):
    weights = MetricWeights(("feather", "stone", "wood"), np.array([0.25, 3.0, 1.0]))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(weights_table(weights, rows))
    printed = console.export_text()
    places = [printed.find(word) for word in ("stone", "wood", "feather")]
    assert "3.00 " in printed
    assert 0 < places[0] < places[1]
    if rows == 2:
        assert places[2] < 0
        assert "1 more dimensions not shown" in printed
    else:
        assert places[1] < places[2]
        assert "not shown" not in printed
    bars = [line.count("█") for line in printed.splitlines() if "█" in line]
    assert bars[:2] == [30, 10]

"""Predictions within a range: the linearisation by `torch.func`, and where training starts."""

import pytest
import torch

from cases import assert_close, assert_linearized_as_the_function, draws, generator
from mbrl_taskmet.decision import Bounded, Budget, Cubic, within_range
from mbrl_taskmet.mlp import MLP

NETWORK = MLP((3, 5, 2))


def test_bounded_linearisation_is_that_of_the_function():
    bounded = Bounded(NETWORK, (-1.0, 3.0), start=0.1)
    theta = bounded.init(generator(), torch.float64)
    assert len(theta) == bounded.num_parameters == NETWORK.num_parameters
    assert_linearized_as_the_function(bounded, theta, draws()(6, 3), outputs=2)


def test_predictions_stay_within_the_range_however_large_the_network_s_outputs():
    bounded = Bounded(NETWORK, (-1.0, 3.0))
    theta = 100 * bounded.init(generator())
    outputs = bounded(theta, 100 * draws()(50, 3).float())
    assert outputs.min() == -1
    assert outputs.max() == 3


def test_predictions_start_at_the_mean_of_the_targets():
    train = Budget(sizes=(80, 1, 1)).split().train
    network = within_range(NETWORK, Budget(), train.targets)
    found = network(torch.zeros(network.num_parameters), torch.zeros(4, 3))
    assert_close(found, train.targets.mean().expand(4, 2), rtol=1e-5, atol=0)


def test_rates_that_are_all_zero_leave_something_to_be_learned():
    network = within_range(NETWORK, Budget(), torch.zeros(4, 5, 10))
    assert (
        network.linearize(torch.zeros(network.num_parameters), torch.zeros(1, 3))
        .vjp(torch.ones(1, 2))
        .any()
    )


def test_a_network_for_targets_without_a_range_stays_as_it_is():
    assert within_range(NETWORK, Cubic(), Cubic().split().train.targets) is NETWORK


@pytest.mark.parametrize(("bounds", "start"), [((1.0, 1.0), 0.5), ((0.0, 1.0), 0.0)])
def test_a_range_without_an_inside_is_refused(bounds, start):
    with pytest.raises(ValueError, match="low below its high, and a start between 0 and 1"):
        Bounded(NETWORK, bounds, start)


def test_targets_outside_of_their_range_are_refused():
    problem = Budget(seed=100)
    targets = problem.split().train.targets
    with pytest.raises(
        ValueError, match=r"from 0.0 to 1.0; they go from 0 to 2.*: widen the range"
    ):
        within_range(NETWORK, problem, targets.clamp_min(0).index_fill(0, torch.tensor(0), 2.0))

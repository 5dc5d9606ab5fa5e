"""One network for all items of a row is what `torch.func` makes of it."""

import torch

from cases import assert_close, assert_linearized_as_the_function, draws, generator
from mbrl_taskmet.decision.rows import OverItems, PerItem
from mbrl_taskmet.mlp import MLP

ITEMS, FEATURES, TARGETS = 4, 3, 2
NETWORK = MLP((FEATURES, 5, TARGETS))


def test_shared_linearisation_is_that_of_the_function():
    shared = OverItems().network(NETWORK, ITEMS)
    theta = shared.init(generator(), torch.float64)
    assert len(theta) == shared.num_parameters == NETWORK.num_parameters
    inputs = draws()(6, ITEMS * FEATURES)
    assert_linearized_as_the_function(shared, theta, inputs, outputs=ITEMS * TARGETS)


def test_both_scopes_predict_the_same():
    features = draws()(6, ITEMS, FEATURES)
    theta = NETWORK.init(generator(), torch.float64)
    predictions = [
        scope.network(NETWORK, ITEMS)(theta, scope.rows(features)).view(6, ITEMS, TARGETS)
        for scope in (PerItem(), OverItems())
    ]
    assert_close(*predictions)

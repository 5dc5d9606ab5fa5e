"""One network for all items of a row is what `torch.func` makes of it."""

import torch

from cases import assert_close, draws, generator
from mbrl_taskmet.decision.rows import OverItems, PerItem
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import FunctionLinearization

ITEMS, FEATURES, TARGETS = 4, 3, 2
NETWORK = MLP((FEATURES, 5, TARGETS))


def test_shared_linearisation_is_that_of_the_function():
    shared = OverItems().network(NETWORK, ITEMS)
    normal = draws()
    theta = shared.init(generator(), torch.float64)
    assert len(theta) == shared.num_parameters == NETWORK.num_parameters
    inputs = normal(6, ITEMS * FEATURES)
    found = shared.linearize(theta, inputs)
    expected = FunctionLinearization(shared, theta, inputs)
    tangent, cotangent = normal(*theta.shape), normal(6, ITEMS * TARGETS)
    assert_close(found.outputs, shared(theta, inputs))
    assert_close(found.jvp(tangent), expected.jvp(tangent))
    assert_close(found.vjp(cotangent), expected.vjp(cotangent))
    assert_close(found.input_vjp(cotangent), expected.input_vjp(cotangent))
    assert_close(
        found.curvature_vjp(tangent, cotangent), expected.curvature_vjp(tangent, cotangent)
    )
    weigh = torch.nn.Softplus()
    assert_close(found.gauss_newton(weigh)(tangent), expected.gauss_newton(weigh)(tangent))


def test_both_scopes_predict_the_same():
    features = draws()(6, ITEMS, FEATURES)
    theta = NETWORK.init(generator(), torch.float64)
    predictions = [
        scope.network(NETWORK, ITEMS)(theta, scope.rows(features)).view(6, ITEMS, TARGETS)
        for scope in (PerItem(), OverItems())
    ]
    assert_close(*predictions)

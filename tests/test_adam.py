"""The functional optimiser."""

import pytest
import torch

from cases import assert_close, draws
from mbrl_taskmet.adam import Adam, adam_init


@pytest.mark.parametrize("shape", [(7,), (2, 5)])
@pytest.mark.parametrize("options", [{}, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}])
def test_twenty_steps_are_those_of_torch(shape, options):
    normal = draws()
    parameters = normal(*shape)
    expected = parameters.clone()
    state = adam_init(parameters)
    betas = options.get("beta1", 0.9), options.get("beta2", 0.999)
    adam = torch.optim.Adam([expected], lr=0.1, betas=betas, eps=options.get("eps", 1e-8))
    for step in range(1, 21):
        expected.grad = normal(*shape)
        parameters, state = Adam(0.1, **options).step(parameters, expected.grad, state)
        adam.step()
        assert_close(parameters, expected)
        assert state.steps == step


def test_zero_gradient_at_rest_leaves_the_parameters():
    parameters = draws()(5)
    stepped, _ = Adam(0.1).step(parameters, 0 * parameters, adam_init(parameters))
    assert torch.equal(stepped, parameters)

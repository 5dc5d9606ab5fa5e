"""Linearisations against each other, against autograd and against finite differences."""

import itertools

import pytest
import torch
from torch import nn

from cases import assert_close, draws, generator, parametrized
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import FunctionLinearization, ModuleNetwork

ROWS = 7
SYMMETRIC = (lambda matrix: matrix + matrix.T)(draws(5)(3, 3))

every_size = pytest.mark.parametrize("sizes", [(4, 3), (4, 5, 3), (4, 6, 5, 6, 3), (1, 2, 1)])


def products(linearization, tangent, cotangent):
    """All that any linearisation offers."""
    weights = SYMMETRIC[: cotangent.shape[-1], : cotangent.shape[-1]]
    weighted = linearization.gauss_newton(lambda rows: rows @ weights)
    return {
        "outputs": linearization.outputs,
        "jvp": linearization.jvp(tangent),
        "vjp": linearization.vjp(cotangent),
        "curvature_vjp": linearization.curvature_vjp(tangent, cotangent),
        "gauss_newton": weighted(tangent),
    }


def perceptron_products(linearization, tangent, cotangent):
    """All that a perceptron's has for each member of an ensemble."""
    of_inputs = {"input_vjp": linearization.input_vjp(cotangent)}
    return products(linearization, tangent, cotangent) | of_inputs


def draw_point(network, inputs, outputs, leading=()):
    """θ, x, a tangent of θ and a cotangent of f(θ, x)."""
    normal = draws()
    theta, tangent = (normal(*leading, network.num_parameters) for _ in range(2))
    return theta, normal(ROWS, inputs), tangent, normal(*leading, ROWS, outputs)


def sequential(mlp, theta):
    """The same perceptron of `torch.nn`."""
    layers = []
    for matrix in mlp.matrices(theta):
        linear = nn.Linear(len(matrix) - 1, matrix.shape[1], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(matrix[:-1].T)
            linear.bias.copy_(matrix[-1])
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@every_size
def test_fast_linearization_is_that_of_automatic_differentiation(sizes):
    mlp = MLP(sizes)
    theta, inputs, *directions = draw_point(mlp, sizes[0], sizes[-1])
    assert_close(
        products(mlp.linearize(theta, inputs), *directions),
        products(FunctionLinearization(mlp, theta, inputs), *directions),
    )


@every_size
@pytest.mark.parametrize("leading", [(2,), (3, 2)])
def test_linearizing_an_ensemble_is_linearizing_each_member(sizes, leading):
    mlp = MLP(sizes)
    theta, inputs, *directions = draw_point(mlp, sizes[0], sizes[-1], leading)
    together = perceptron_products(mlp.linearize(theta, inputs), *directions)
    for member in itertools.product(*map(range, leading)):
        alone = perceptron_products(
            mlp.linearize(theta[member], inputs), *(d[member] for d in directions)
        )
        assert_close({name: value[member] for name, value in together.items()}, alone)


def test_each_member_of_an_ensemble_may_have_inputs_of_its_own():
    mlp = MLP((4, 5, 3))
    theta, _, *directions = draw_point(mlp, 4, 3, (2,))
    inputs = draws(1)(2, ROWS, 4)
    together = perceptron_products(mlp.linearize(theta, inputs), *directions)
    for member in range(2):
        alone = perceptron_products(
            mlp.linearize(theta[member], inputs[member]), *(d[member] for d in directions)
        )
        assert_close({name: value[member] for name, value in together.items()}, alone)


@every_size
def test_an_ensembles_summed_gradient_in_its_inputs_is_the_sum_of_its_members(sizes):
    mlp = MLP(sizes)
    theta, inputs, _, cotangent = draw_point(mlp, sizes[0], sizes[-1], (3,))
    members = [mlp.linearize(t, inputs).input_vjp(c) for t, c in zip(theta, cotangent, strict=True)]
    assert_close(mlp.linearize(theta, inputs).summed_input_vjp(cotangent), sum(members))


@every_size
def test_perceptron_is_that_of_torch(sizes):
    mlp = MLP(sizes)
    theta, inputs, _, cotangent = draw_point(mlp, sizes[0], sizes[-1])
    module = sequential(mlp, theta)
    inputs.requires_grad_()
    outputs = module(inputs)
    outputs.backward(cotangent)
    linear = [layer for layer in module if isinstance(layer, nn.Linear)]
    gradients = [torch.cat([layer.weight.grad.T, layer.bias.grad[None]]) for layer in linear]
    linearization = mlp.linearize(theta, inputs.detach())
    assert_close(mlp(theta, inputs), outputs)
    assert_close(linearization.vjp(cotangent), torch.cat([g.flatten() for g in gradients]))
    assert_close(linearization.input_vjp(cotangent), inputs.grad)


def test_unit_at_rest_passes_no_gradient_as_in_torch():
    mlp = MLP((2, 3, 1))
    theta = torch.zeros(mlp.num_parameters, dtype=torch.float64)
    theta[-4:] = 1
    inputs, cotangent = draws()(ROWS, 2), torch.ones(ROWS, 1, dtype=torch.float64)
    directions = draws(1)(mlp.num_parameters), cotangent
    assert_close(
        products(mlp.linearize(theta, inputs), *directions),
        products(FunctionLinearization(mlp, theta, inputs), *directions),
    )


def test_initial_weights_fill_the_interval_that_torch_draws_from():
    mlp = MLP((16, 400, 25))
    theta = mlp.init(generator())
    for matrix, fan_in in zip(mlp.matrices(theta), (16, 400), strict=True):
        scaled = matrix * fan_in**0.5
        assert scaled.abs().max() <= 1
        assert scaled.min() < -0.99
        assert scaled.max() > 0.99
        assert scaled.mean().abs() < 0.05
    assert torch.equal(theta, mlp.init(generator()))
    assert not torch.equal(theta, mlp.init(generator(1)))


def test_the_input_scale_is_that_of_the_first_layers_weights_alone():
    plain, scaled = MLP((16, 7, 5)), MLP((16, 7, 5), input_scale=0.25)
    first, *others = plain.matrices(plain.init(generator()))
    scaled_first, *scaled_others = scaled.matrices(scaled.init(generator()))
    assert_close(scaled_first[:-1], 0.25 * first[:-1])
    assert torch.equal(scaled_first[-1], first[-1])
    assert all(map(torch.equal, others, scaled_others))


@pytest.mark.parametrize("input_scale", [1.0, 0.25])
def test_orthogonal_weights_have_the_gains_as_singular_values_and_no_biases(input_scale):
    mlp = MLP((16, 7, 9, 5), input_scale, ortho_init=True)
    theta = mlp.init(generator(), torch.float64)
    gains = (input_scale * 2**0.5, 2**0.5, 0.01)
    for matrix, gain in zip(mlp.matrices(theta), gains, strict=True):
        singular_values = torch.linalg.svdvals(matrix[:-1])
        assert_close(singular_values, torch.full_like(singular_values, gain))
        assert not matrix[-1].any()
    assert torch.equal(theta, mlp.init(generator(), torch.float64))
    assert not torch.equal(theta, mlp.init(generator(1), torch.float64))


@pytest.mark.parametrize("sizes", [(), (4,), (4, 0, 2), (4, -1)])
def test_sizes_that_make_no_perceptron_are_refused(sizes):
    with pytest.raises(ValueError, match="An MLP needs positive sizes"):
        MLP(sizes)


def tanh_module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def central_difference(function, point, direction, step=1e-5):
    return (function(point + step * direction) - function(point - step * direction)) / (2 * step)


def test_products_with_any_module_are_finite_differences():
    network = ModuleNetwork(tanh_module())
    theta, inputs, tangent, cotangent = draw_point(network, 4, 3)
    found = network.linearize(theta, inputs)
    close = {"rtol": 1e-7, "atol": 1e-8}

    along = central_difference(lambda t: network(t, inputs), theta, tangent)
    assert_close(found.jvp(tangent), along, **close)
    assert_close(found.vjp(cotangent) @ tangent, (cotangent * along).sum(), **close)

    along = central_difference(
        lambda t: network.linearize(t, inputs).vjp(cotangent), theta, tangent
    )
    assert_close(found.curvature_vjp(tangent, cotangent), along, **close)


def test_module_network_starts_at_the_module_and_is_it():
    module, inputs = tanh_module(), draws()(ROWS, 4)
    network = ModuleNetwork(module)
    theta = network.init(generator(), torch.float64)
    assert theta.shape == (network.num_parameters,)
    assert_close(network(theta, inputs), module(inputs))
    assert_close(network.linearize(theta, inputs).outputs, module(inputs))
    assert not theta.requires_grad


every_network = parametrized(
    "network", {"mlp": MLP((4, 5, 3)), "module": ModuleNetwork(tanh_module())}
)


@every_network
def test_population_of_parameters_and_inputs_maps(network):
    normal = draws()
    shapes = (network.num_parameters,), (ROWS, 4), (network.num_parameters,), (ROWS, 3)
    points = [normal(2, *shape) for shape in shapes]

    def all_products(theta, inputs, *directions):
        return products(network.linearize(theta, inputs), *directions)

    together = torch.func.vmap(all_products)(*points)
    for member in range(2):
        alone = all_products(*(point[member] for point in points))
        assert_close({name: value[member] for name, value in together.items()}, alone)

from collections import Counter

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from cases import assert_close, draw_batch, draw_state, small_update
from mbrl_taskmet.benchmarks.measure import MatrixProducts
from mbrl_taskmet.common_terms import ShareCommonTerms
from mbrl_taskmet.hypergradient import FullHessian, ImplicitGradient
from mbrl_taskmet.linear_solvers import NormalEquationCG
from mbrl_taskmet.trilevel import TaskMetUpdate


def shared(function, *arguments):
    """The function's graph, rewritten, and how often it calls what."""
    traced = make_fx(function)(*arguments)
    ShareCommonTerms()(traced.graph)
    traced.graph.lint()
    traced.recompile()
    return traced, Counter(str(node.target) for node in traced.graph.nodes)


def test_a_product_that_two_terms_need_is_computed_once():
    def function(x, y):
        return (x @ y).exp() + ((x @ y) + 1).sin() + (y @ x).exp()

    x, y = torch.randn(2, 3, 3)
    traced, calls = shared(function, x, y)
    assert calls["aten.mm.default"] == 2
    assert torch.equal(traced(x, y), function(x, y))


def test_keywords_tell_calls_apart():
    def function(x):
        return x.sum(0, dtype=torch.float64) + x.sum(0, dtype=torch.float32)

    _, calls = shared(function, torch.randn(3))
    assert calls["aten.sum.dim_IntList"] == 2


@pytest.mark.parametrize("pair", [(1, 1.0), (1, True), (0.0, -0.0)])
def test_numbers_that_are_only_equal_tell_calls_apart(pair):
    def function(x):
        return [torch.full_like(x, number) for number in pair]

    x = torch.zeros(3)
    traced, calls = shared(function, x)
    assert calls["aten.full_like.default"] == 2
    assert [str(value) for value in traced(x)] == [str(value) for value in function(x)]


def test_two_draws_stay_two_draws():
    _, calls = shared(lambda x: torch.rand_like(x) - torch.rand_like(x), torch.zeros(3))
    assert calls["aten.rand_like.default"] == 2


def test_an_update_computes_each_distinct_product_once_and_gives_the_same_numbers():
    published = ImplicitGradient(NormalEquationCG(3), FullHessian())
    update = small_update(TaskMetUpdate, hypergradient=published)
    arguments = draw_state(update), draw_batch(1), draw_batch(2)
    traced, calls = shared(lambda *tensors: update(*tensors), *arguments)
    with MatrixProducts() as products:
        expected = update(*arguments)
    assert calls["aten.mm.default"] + calls["aten.bmm.default"] == sum(products.shapes.values())
    assert_close(traced(*arguments), expected)

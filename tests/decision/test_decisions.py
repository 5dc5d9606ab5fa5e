"""Differentiable decisions against brute force, finite differences and another library."""

import itertools

import pytest
import torch
from torch.autograd import gradcheck

from cases import assert_close, draws, identity
from mbrl_taskmet.decision import simplex_qp, soft_choice, soft_top_k
from mbrl_taskmet.decision.subsets import best_choice, subsets


def positive_definite(normal, batch, n):
    root = normal(batch, n, n)
    return root @ root.mT / n + 0.3 * identity(n)


def programmes(batch=6, n=5, seed=0):
    normal = draws(seed)
    return normal(batch, n), positive_definite(normal, batch, n)


def transport_plan(scores, k, epsilon, iterations=20_000):
    """What arrives at the anchor 1, by Sinkhorn's iterations on the whole plan."""
    n = len(scores)
    costs = torch.stack([scores**2, (scores - 1) ** 2], 1)
    kernel = torch.exp(-costs / costs.max() / epsilon)
    rows, columns = torch.full((n,), 1 / n).double(), torch.tensor([1 - k / n, k / n]).double()
    right = torch.ones(2, dtype=torch.float64)
    for _ in range(iterations):
        left = rows / (kernel @ right)
        right = columns / (kernel.T @ left)
    return n * left * kernel[:, 1] * right[1]


@pytest.mark.parametrize("k", [1, 3])
def test_soft_top_k_is_the_entropic_transport_plan(k):
    scores = draws()(7)
    assert_close(soft_top_k(scores, k, 0.1), transport_plan(scores, k, 0.1), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
def test_soft_top_k_is_differentiated_as_finite_differences_say(k, epsilon):
    scores = draws(1)(4, 6).requires_grad_()
    assert gradcheck(lambda s: soft_top_k(s, k, epsilon), scores)


def test_soft_top_k_sums_to_k_and_hardens_as_epsilon_vanishes():
    scores = draws()(3, 8)
    assert_close(soft_top_k(scores, 2, 0.05).sum(-1), torch.full((3,), 2.0).double())
    hard = torch.zeros_like(scores).scatter(-1, scores.topk(2).indices, 1.0)
    assert_close(soft_top_k(scores, 2, 1e-5), hard, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_soft_top_k_is_finite_however_far_the_scores_are_apart(scale):
    scores = (scale * draws()(5, 50)).float().requires_grad_()
    z = soft_top_k(scores, 1, 1e-4)
    (gradient,) = torch.autograd.grad((z * draws(2)(5, 50)).sum(), scores)
    assert z.isfinite().all()
    assert gradient.isfinite().all()


def by_enumeration(p, Q):
    """The best of the programmes restricted to each support, all of which are tried."""
    best, found = -torch.inf, None
    for size in range(1, len(p) + 1):
        for support in map(list, itertools.combinations(range(len(p)), size)):
            system = torch.ones(size + 1, size + 1, dtype=p.dtype)
            system[:size, :size] = Q[support][:, support]
            system[size, size] = 0
            side = torch.cat([p[support], p.new_ones(1)])
            z = torch.zeros_like(p)
            z[support] = torch.linalg.solve(system, side)[:size]
            if z.min() >= 0 and (value := p @ z - z @ Q @ z / 2) > best:
                best, found = value, z
    return found


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_simplex_qp_is_the_best_of_all_supports(scale):
    p, Q = programmes()
    expected = torch.stack([by_enumeration(*one) for one in zip(scale * p, Q, strict=True)])
    assert_close(simplex_qp(scale * p, Q), expected)


def test_simplex_qp_meets_its_optimality_conditions_at_the_size_of_a_portfolio():
    p, Q = programmes(batch=40, n=50)
    z = simplex_qp(p, Q)
    gradient = p - (Q @ z.unsqueeze(-1)).squeeze(-1)
    assert z.min() >= 0
    assert_close(z.sum(-1), torch.ones(40).double())
    assert_close(gradient.amax(-1), (gradient * z).sum(-1))


def test_simplex_qp_is_differentiated_as_finite_differences_say():
    p, Q = programmes()
    p, Q = p.requires_grad_(), Q.requires_grad_()
    z = simplex_qp(p, Q)
    assert ((z == 0).any(-1) & ((z > 0).sum(-1) > 1)).any()
    assert gradcheck(lambda p, Q: simplex_qp(p, (Q + Q.mT) / 2), (p, Q))


def test_each_programme_of_a_batch_is_differentiated_by_itself():
    p, Q = programmes()
    p.requires_grad_()
    (together,) = torch.autograd.grad(simplex_qp(p, Q).square().sum(), p)
    for index in range(len(p)):
        one = slice(index, index + 1)
        (alone,) = torch.autograd.grad(simplex_qp(p[one], Q[one]).square().sum(), p)
        assert_close(together[one], alone[one])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_simplex_qp_and_its_derivative_are_those_of_cvxpylayers():
    cvxpy = pytest.importorskip("cvxpy")
    layers = pytest.importorskip("cvxpylayers.torch")
    p, Q = programmes(batch=4, n=6, seed=3)
    z, linear, factor = cvxpy.Variable(6), cvxpy.Parameter(6), cvxpy.Parameter((6, 6))
    objective = cvxpy.Maximize(linear @ z - cvxpy.sum_squares(factor.T @ z) / 2)
    programme = cvxpy.Problem(objective, [z >= 0, cvxpy.sum(z) == 1])
    layer = layers.CvxpyLayer(programme, parameters=[linear, factor], variables=[z])
    p.requires_grad_()
    (expected,) = layer(p, torch.linalg.cholesky(Q), solver_args={"eps": 1e-10})
    found = simplex_qp(p, Q)
    weights = draws(4)(4, 6)
    assert_close(found, expected, rtol=0, atol=1e-5)
    assert_close(
        torch.autograd.grad((weights * found).sum(), p)[0],
        torch.autograd.grad((weights * expected).sum(), p)[0],
        rtol=0,
        atol=1e-3,
    )


def test_soft_choice_maximises_value_and_entropy():
    values = draws()(1, 10).requires_grad_()
    z = soft_choice(values, 0.3)
    entropy = -(z * z.log()).sum(-1)
    # The maximum of Σ z f + τ entropy(z) over distributions is τ logsumexp(f / τ).
    assert_close((z * values).sum(-1) + 0.3 * entropy, 0.3 * torch.logsumexp(values / 0.3, -1))
    assert gradcheck(lambda v: soft_choice(v, 0.3), values)
    assert_close(soft_choice(values, 1e-4), best_choice(values))


def test_all_subsets_of_a_size_are_there_once():
    chosen = subsets(5, 2)
    assert chosen.shape == (10, 5)
    assert (chosen.sum(-1) == 2).all()
    assert len(chosen.unique(dim=0)) == 10


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (
            lambda: soft_top_k(torch.zeros(3), 3),
            "k must be a whole number between 1 and 2 .* got 3",
        ),
        (lambda: soft_top_k(torch.zeros(3), 1.5), r"k must be a whole number .* got 1\.5"),
        (lambda: soft_top_k(torch.zeros(3), 1, 0.0), "epsilon must be positive; got 0.0"),
        (lambda: soft_choice(torch.zeros(1, 3), -1.0), "temperature must be positive; got -1"),
        (lambda: soft_top_k(torch.zeros(3), 1, float("nan")), "must be positive; got nan"),
        (lambda: soft_choice(torch.zeros(1, 3), float("nan")), "must be positive; got nan"),
        (lambda: subsets(5, 5), "between 1 and 4; got 5"),
        (lambda: simplex_qp(torch.zeros(2, 3), torch.eye(3)), r"\(B, n\) and Q of shape"),
        (
            lambda: simplex_qp(torch.zeros(1, 2), torch.tensor([[[1.0, 2.0], [2.0, 1.0]]])),
            "positive definite: add a multiple of the identity",
        ),
        (
            lambda: simplex_qp(torch.zeros(1, 2), torch.tensor([[[2.0, 1.0], [0.0, 2.0]]])),
            "must be symmetric: pass the mean of Q and Qᵀ",
        ),
        (
            lambda: simplex_qp(torch.tensor([[0.0, torch.nan]]), torch.eye(2)[None]),
            "needs finite numbers",
        ),
        (
            lambda: simplex_qp(torch.zeros(1, 2), torch.inf * torch.ones(1, 2, 2)),
            "needs finite numbers",
        ),
    ],
)
def test_a_decision_that_cannot_be_taken_is_refused(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()

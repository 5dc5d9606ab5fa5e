"""The three published tasks: their data, decisions and objectives."""

import itertools
import math

import pytest
import torch
from torch.autograd import gradcheck

from cases import Weighted, assert_close, draws, generator
from mbrl_taskmet.decision import (
    Budget,
    Cubic,
    Data,
    Portfolio,
    Yardstick,
    constant_prediction,
    evaluate,
    loss_of,
    measure,
    normalized_decision_quality,
    portfolio,
)
from mbrl_taskmet.decision.budget import REGIMES
from mbrl_taskmet.decision.portfolio import price_features, risk
from mbrl_taskmet.decision.prices import load_prices

SMALL = (6, 4, 5)
PROBLEMS = {
    "cubic": Cubic(sizes=SMALL, num_items=8),
    "budget": Budget(sizes=SMALL, regime="dense"),
    "portfolio": Portfolio(sizes=SMALL),
}
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())


@every_problem
def test_data_are_the_same_at_every_call_and_of_the_sizes_asked_for(problem):
    first, second = problem.split(), problem.split()
    assert tuple(len(part.targets) for part in first) == SMALL
    for part, again in zip(first, second, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(part, again, strict=True))
        assert all(tensor.isfinite().all() for tensor in part)


@every_problem
def test_no_prediction_decides_better_than_the_truth(problem):
    test = problem.split().test
    best = problem.objective(test.targets, problem.decision(test.targets, test.aux), test.aux)
    for noise in (0.01, 0.1, 1.0):
        y_hat = test.targets + noise * draws()(*test.targets.shape).float()
        found = problem.objective(test.targets, problem.decision(y_hat, test.aux), test.aux)
        assert (found <= best + 1e-6).all()


@every_problem
def test_the_oracle_has_quality_one_and_no_regret(problem):
    test = problem.split().test
    quality = evaluate(problem, test.targets, test)
    assert quality.decision_quality == pytest.approx(1)
    assert quality.regret == pytest.approx(0, abs=1e-7)
    assert quality.mse == 0


@every_problem
def test_the_task_loss_is_differentiated_as_finite_differences_say(problem):
    train = Data(*(tensor.double() for tensor in problem.split().train))
    loss = loss_of(problem)
    y_hat = (train.targets + 0.1 * draws()(*train.targets.shape)).requires_grad_()
    assert gradcheck(lambda y_hat: loss(y_hat, train), y_hat)


def test_cubic_is_the_published_function_and_chooses_one_item():
    problem = Cubic(num_items=4, sizes=(3, 1, 1))
    train = problem.split().train
    x = train.features
    assert_close(train.targets, 10 * (x**3 - 0.65 * x))
    assert x.abs().max() < 1
    z = problem.decision(train.targets, train.aux)
    assert (z.sum(-1) == 1).all()
    assert_close(problem.objective(train.targets, z, train.aux), train.targets.amax((1, 2)))


def test_the_relaxed_choice_of_cubic_is_near_the_hard_one_where_items_are_apart():
    problem = Cubic(num_items=3)
    y_hat = torch.tensor([[[2.0], [-1.0], [0.5]]])
    assert_close(
        problem.decision(y_hat, torch.zeros(1, 0), relaxed=True),
        torch.tensor([[1.0, 0.0, 0.0]]),
        rtol=0,
        atol=1e-3,
    )


def test_budget_reaches_each_user_by_any_of_the_chosen_items():
    problem = Budget(sizes=SMALL, regime="dense")
    y = problem.split().train.targets.double()
    expected = [
        [
            sum(1 - math.prod(1 - y[b, i, t].item() for i in chosen) for t in range(10))
            for chosen in itertools.combinations(range(5), 2)
        ]
        for b in range(len(y))
    ]
    assert_close(problem.reached(y), torch.tensor(expected, dtype=torch.float64))


def test_a_higher_rate_never_reaches_fewer_users():
    """Of rates within their range; beyond it, a second item above one takes users away."""
    problem = Budget()
    assert problem.target_range == (0.0, 1.0)
    y = torch.rand(40, 5, 10, generator=generator(), dtype=torch.float64)
    raised = y + (1 - y) * torch.rand(y.shape, generator=generator(1), dtype=torch.float64)
    assert (problem.reached(raised) >= problem.reached(y)).all()
    slopes = torch.func.jacrev(lambda y: problem.reached(y).sum(0))(y)
    assert slopes.min() >= 0
    beyond = torch.full((1, 5, 10), 1.5)
    assert (problem.reached(1.2 * beyond) < problem.reached(beyond)).all()


@every_problem
def test_targets_are_within_their_range(problem):
    if problem.target_range is not None:
        low, high = problem.target_range
        for part in problem.split():
            assert part.targets.min() >= low
            assert part.targets.max() <= high


@pytest.mark.parametrize("regime", REGIMES)
def test_synthetic_rates_are_rates_of_the_density_of_their_regime(regime):
    rates = Budget(regime=regime).split().test.targets
    assert rates.min() >= 0
    assert rates.max() <= 1
    assert (rates > 0).float().mean() == pytest.approx(REGIMES[regime].density, abs=0.02)


def test_features_without_nuisance_tell_the_rates():
    """A linear map of ten numbers to ten can be undone."""
    train, _, test = Budget(regime="dense").split()

    def with_bias(data):
        x = data.features.flatten(0, 1).double()
        return torch.cat([x, torch.ones(len(x), 1)], 1)

    found = torch.linalg.lstsq(with_bias(train), train.targets.flatten(0, 1).double()).solution
    assert_close(with_bias(test) @ found, test.targets.flatten(0, 1).double(), rtol=0, atol=1e-4)


def test_portfolio_predicts_tomorrow_from_today_and_before():
    problem = Portfolio(sizes=SMALL)
    prices = load_prices("sp500")
    train, validation, test = problem.split()
    targets = torch.cat([part.targets for part in (train, validation, test)]).squeeze(-1)
    # The first instance is day 365: its features end there, its target is the return of day 366.
    days = torch.arange(366, 366 + sum(SMALL))
    assert_close(targets, (prices[days] / prices[days - 1] - 1).float())
    raw = torch.stack([price_features(prices[:day]) for day in days])
    mean, std = raw[: SMALL[0]].mean((0, 1)), raw[: SMALL[0]].std((0, 1))
    assert_close(test.features, ((raw - mean) / std)[-SMALL[2] :].float(), rtol=1e-4, atol=1e-4)
    assert train.features.shape == (SMALL[0], 20, 28)
    following = prices[367:376] / prices[366:375] - 1
    expected = torch.corrcoef(following.T) + 0.1 * torch.eye(20)
    assert_close(train.aux[0], expected.float(), rtol=1e-4, atol=1e-4)


def test_features_of_a_day_do_not_look_ahead(monkeypatch):
    """Instance i is day 365 + i: prices that differ from day 1065 on show from instance 700 on."""
    prices = load_prices("sp500")
    changed = prices.clone()
    changed[365 + 700 :, ::2] *= 1.5

    def features(shown):
        monkeypatch.setattr(portfolio, "load_prices", lambda name: shown)
        return torch.cat([part.features for part in Portfolio().split()])

    before, after = features(prices), features(changed)
    assert torch.equal(after[:700], before[:700])
    assert not torch.isclose(after[700], before[700]).all()


def test_a_stock_that_stands_still_is_correlated_with_none():
    returns = draws()(9, 3)
    returns[:, 1] = 0
    matrix = risk(returns)
    assert_close(matrix[1], torch.tensor([0.0, 1.1, 0.0], dtype=torch.float64))
    assert torch.linalg.eigvalsh(matrix).min() > 0


def test_prices_of_another_package_are_read_or_named():
    # Either is right, as the package is installed or not: hence no `pytest.raises`.
    try:
        prices = load_prices("tse")
    except ImportError as error:
        assert "pip install --no-deps universal-portfolios" in str(error)  # noqa: PT017
    else:
        assert prices.shape == (1259, 50)
        assert (prices > 0).all()


def test_decision_quality_is_between_random_and_oracle_for_either_sense():
    assert normalized_decision_quality(3, Yardstick(random=1, oracle=5)) == 0.5
    assert normalized_decision_quality(3, Yardstick(random=5, oracle=1)) == 0.5
    assert normalized_decision_quality(6, Yardstick(random=5, oracle=1)) == -0.25
    with pytest.raises(ValueError, match="there is no scale"):
        normalized_decision_quality(1, Yardstick(1, 1))


def test_regret_is_what_errors_cost_if_the_objective_is_to_be_low():
    data, normal = Data(draws()(4, 3, 1), draws(1)(4, 3, 1), torch.zeros(4, 0)), draws(2)
    errors = normal(4, 3, 1)
    found = evaluate(Weighted(), data.targets + errors, data)
    expected = (errors.squeeze(-1).square() * Weighted.weights).sum(-1).mean().item()
    assert found.regret == pytest.approx(expected)
    assert found.decision_quality < 1


@pytest.mark.parametrize(
    ("problem", "oracle", "regret"), [(Cubic(num_items=3), 4.0, -1.0), (Weighted(), 7.0, -0.5)]
)
def test_decisions_that_are_better_than_the_yardstick_have_a_negative_regret(
    problem, oracle, regret
):
    """Item 0 is worth 5; predictions that err by one on every item cost 6.5."""
    targets = torch.tensor([[[5.0], [1.0], [2.0]]], dtype=torch.float64)
    data = Data(torch.zeros_like(targets), targets, torch.zeros(1, 0))
    assert evaluate(problem, targets + 1, data, Yardstick(0.0, oracle)).regret == regret


def test_random_decisions_on_cubic_are_worth_the_mean_item():
    problem = Cubic(sizes=(1, 1, 2000))
    test = problem.split().test
    assert measure(problem, test).random == pytest.approx(test.targets.mean().item(), abs=0.06)


def test_the_constant_predictor_knows_the_items_and_no_features():
    train, _, test = Portfolio(sizes=SMALL).split()
    y_hat = constant_prediction(train, test)
    assert y_hat.shape == test.targets.shape
    assert_close(y_hat[0], y_hat[-1])
    assert_close(y_hat[0], train.targets.mean(0))


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: Budget(regime="spars"), "no regime of budget 'spars'.* Did you mean 'sparse'"),
        (lambda: load_prices("sp50"), "no set of prices 'sp50'.* Did you mean 'sp500'"),
        (lambda: Portfolio(sizes=(2000, 1, 1)).split(), "need 2378 days .* choose smaller sizes"),
        (lambda: evaluate(Cubic(), torch.zeros(3), Cubic().split().test), "the targets' shape"),
        (
            lambda: evaluate(Cubic(), torch.full((400, 50, 1), torch.nan), Cubic().split().test),
            "must be finite: lower the learning rate",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()

"""The losses against their equations."""

import math

import pytest
import torch

from cases import assert_close, draws
from mbrl_taskmet.losses import bellman_error, bellman_target, prediction_loss, soft_value


def test_prediction_loss_is_the_sum_of_its_two_means():
    errors = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    loss = prediction_loss(errors, errors * torch.tensor([2.0, 0.5]), torch.tensor([1.0, 3.0]))
    assert loss == (2 * (1 + 9) + 0.5 * (4 + 16)) / 2 + (1 + 9) / 2


@pytest.mark.parametrize("temperature", [0.01, 1.0, 50.0])
def test_soft_value_is_the_log_sum_of_exponentials_of_the_smaller_critic(temperature):
    values = draws()(2, 4, 3)
    for row, value in enumerate(soft_value(values, temperature)):
        smallest = [min(values[:, row, action].tolist()) for action in range(3)]
        top = max(smallest)
        total = sum(math.exp((q - top) / temperature) for q in smallest)
        assert value.item() == pytest.approx(top + temperature * math.log(total), rel=1e-12)


def test_cold_soft_value_is_the_maximum_and_does_not_overflow():
    values = torch.tensor([[[1e4, -1e4]]], dtype=torch.float64)
    assert_close(soft_value(values, 1e-3), values[0, :, 0])


def test_truncated_transition_bootstraps_and_terminated_one_does_not():
    """A time limit leaves `terminations` at zero."""
    truncated, terminated = bellman_target(
        torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0]), torch.tensor([10.0, 10.0]), 0.5
    )
    assert truncated == 1 + 0.5 * 10
    assert terminated == 1


def test_bellman_error_sums_over_critics_and_averages_over_rows():
    values = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert bellman_error(values, torch.tensor([1.0, 1.0])) == (0 + 1 + 4 + 16) / 2


V, M, T = torch.ones(4), torch.ones(4, 2), torch.ones(2, 4, 3)


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (prediction_loss, (V, M, V), "errors"),
        (prediction_loss, (M, V, V), "weighted_errors"),
        (prediction_loss, (M, M, M), "reward_errors"),
        (soft_value, (M, 1.0), "action_values"),
        (bellman_target, (M, V, V, 0.9), "rewards"),
        (bellman_target, (V, M, V, 0.9), "terminations"),
        (bellman_target, (V, V, V[:, None], 0.9), "values"),
        (bellman_error, (V, V), "values"),
        (bellman_error, (T, V), "values"),
        (bellman_error, (M, M), "targets"),
    ],
)
def test_wrong_rank_is_refused_by_name(function, arguments, name):
    with pytest.raises(ValueError, match=rf"^{name} must have \d dimension\(s\); got shape"):
        function(*arguments)

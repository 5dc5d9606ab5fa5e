"""Each kind of distractor against its closed form."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Sequence

from mbrl_taskmet.envs import (
    ActionEcho,
    Autoregressive,
    DistractorProcess,
    DistractorWrapper,
    Gaussian,
    MultiScale,
    Redundant,
    Sinusoid,
    Site,
    make_process,
)

K = 20_000  # distractors, each an independent sample of its process
STD = 0.7
REAL_SPACE = Box(np.array([-2.0, -np.inf]), np.array([4.0, np.inf]), dtype=np.float64)
REAL = np.array([1.0, -5.0])

# Five standard errors of a mean of K draws of unit variance.
TOLERANCE = 5 / np.sqrt(K)


def site(action_space: gym.Space[Any] | None = None, num_distractors: int = K) -> Site:
    return Site(num_distractors, STD, REAL_SPACE, action_space or Discrete(2))


def simulate(process: DistractorProcess[Any], steps: int, action: Any = 0) -> np.ndarray:
    """Return the values at `steps` consecutive times, shape (steps, K)."""
    rng = np.random.default_rng(1)
    layout = process.layout(site(), np.random.default_rng(0))
    state = process.start(layout, REAL, rng)
    values = [process.values(layout, state)]
    for _ in range(steps - 1):
        state = process.advance(layout, state, action, REAL, rng)
        values.append(process.values(layout, state))
    return np.stack(values)


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


@pytest.mark.parametrize("kind", ["gaussian", "autoregressive", "sinusoid"])
def test_task_free_distractors_have_mean_zero_and_variance_sigma_squared_at_every_step(kind):
    for x in simulate(make_process(kind), steps=5) / STD:
        assert abs(x.mean()) < TOLERANCE
        assert abs((x**2).mean() - 1) < np.sqrt(2) * TOLERANCE


def test_gaussian_distractors_are_normal_and_independent_over_time():
    x = simulate(Gaussian(), steps=3)
    assert abs(((x[0] / STD) ** 4).mean() - 3) < np.sqrt(96) * TOLERANCE
    assert abs(correlation(x[0], x[1])) < TOLERANCE
    assert abs(correlation(x[0], x[2])) < TOLERANCE


def test_noise_of_many_scales_is_spaced_evenly_in_its_logarithm():
    stds = MultiScale().layout(site(num_distractors=5), np.random.default_rng(0))
    np.testing.assert_allclose(stds, STD * np.array([0.01, 0.1, 1.0, 10.0, 100.0]))
    (alone,) = MultiScale(0.1, 40).layout(site(num_distractors=1), np.random.default_rng(0))
    assert alone == pytest.approx(STD * 2)
    assert MultiScale().layout(site(num_distractors=0), np.random.default_rng(0)).shape == (0,)


def test_noise_of_many_scales_is_gaussian_noise_in_its_units():
    process = MultiScale()
    stds = process.layout(site(), np.random.default_rng(0))
    np.testing.assert_allclose(simulate(process, 3) / stds, simulate(Gaussian(), 3) / STD)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95])
def test_autoregressive_distractors_have_autocorrelation_rho_to_the_lag(rho):
    x = simulate(Autoregressive(rho), steps=6)
    for lag in (1, 2, 5):
        assert abs(correlation(x[0], x[lag]) - rho**lag) < TOLERANCE


def test_sinusoids_obey_their_two_step_recurrence():
    process = Sinusoid()
    frequencies = process.layout(site(), np.random.default_rng(0)).frequencies
    x = simulate(process, steps=50)
    np.testing.assert_allclose(x[2:], 2 * np.cos(frequencies) * x[1:-1] - x[:-2], atol=1e-10)


def test_sinusoids_have_periods_spread_log_uniformly_between_the_given_ones():
    frequencies = Sinusoid(5, 80).layout(site(), np.random.default_rng(0)).frequencies
    spread = np.log(2 * np.pi / frequencies / 5) / np.log(80 / 5)
    assert 0 <= spread.min() < 0.01
    assert 0.99 < spread.max() <= 1
    assert abs(spread.mean() - 1 / 2) < TOLERANCE


def test_sinusoids_take_a_share_cos_squared_of_their_variance_from_their_last_value():
    x = simulate(Sinusoid(20, 20), steps=2)
    residual = x[1] - np.cos(2 * np.pi / 20) * x[0]
    assert abs(residual.var() / x[1].var() - np.sin(2 * np.pi / 20) ** 2) < TOLERANCE


def test_sinusoids_fill_their_bounds():
    process = Sinusoid()
    low, high = process.bounds(process.layout(site(), np.random.default_rng(0)))
    x = simulate(process, steps=2)
    np.testing.assert_array_equal(high, -low)
    assert np.all(np.abs(x) <= high)
    assert x.max() > 0.999 * np.sqrt(2) * STD


def test_action_echoes_of_discrete_actions_are_a_fixed_embedding_and_noise():
    process = ActionEcho(relative_noise=0.2)
    echoes = {action: simulate(process, 3, action) for action in (0, 1)}
    for x in echoes.values():
        assert abs(x[1].var() / STD**2 - (1 + 0.2**2)) < 2 * TOLERANCE
        assert abs(correlation(x[1], x[2]) - 1 / (1 + 0.2**2)) < TOLERANCE
    assert abs(correlation(echoes[0][1], echoes[1][1]) - 0.2**2 / (1 + 0.2**2)) < TOLERANCE


def test_action_echoes_begin_an_episode_with_noise_alone():
    assert not simulate(ActionEcho(relative_noise=0.0), 1).any()
    assert simulate(ActionEcho(relative_noise=0.2), 1)[0].std() == pytest.approx(
        0.2 * STD, rel=TOLERANCE
    )


def test_action_echoes_of_continuous_actions_are_linear_in_the_action_per_largest_magnitude():
    process = ActionEcho(relative_noise=0.0)
    rng = np.random.default_rng(0)

    def echo(space: Box, action: list[float]) -> np.ndarray:
        layout = process.layout(site(space), np.random.default_rng(0))
        taken = np.array(action, np.float32)
        return process.advance(layout, np.zeros(K), taken, REAL, rng)

    wide = Box(np.float32([-4, -4]), np.float32([2, np.inf]))
    first, second = echo(wide, [1, 0]), echo(wide, [0, 1])
    np.testing.assert_allclose(echo(wide, [3, -2]), 3 * first - 2 * second)
    assert first.std() == pytest.approx(STD / 4, rel=TOLERANCE)
    assert second.std() == pytest.approx(STD, rel=TOLERANCE)  # unbounded: in its own units


@pytest.mark.parametrize("space", [Discrete(3, start=-1), MultiDiscrete([2, 3])])
def test_action_echoes_take_any_action_that_flattens_to_a_vector(space):
    process = ActionEcho()
    layout = process.layout(site(space, num_distractors=4), np.random.default_rng(0))
    rng = np.random.default_rng(0)
    assert process.advance(layout, np.zeros(4), space.sample(), REAL, rng).shape == (4,)


@pytest.mark.parametrize("space", [Sequence(Discrete(2)), Dict(a=Sequence(Discrete(2)))])
def test_action_echoes_refuse_actions_that_do_not_flatten(space):
    with pytest.raises(ValueError, match=r"need actions that flatten.*TransformAction"):
        ActionEcho().layout(site(space), np.random.default_rng(0))


def test_redundant_distractors_copy_the_real_dimensions_in_turn():
    np.testing.assert_array_equal(
        simulate(Redundant(relative_noise=0.0), 2), np.tile(REAL, (2, K // 2))
    )


def test_redundant_noise_is_a_fraction_of_half_the_range_or_in_units_where_unbounded():
    x = simulate(Redundant(relative_noise=0.1), 2)
    half_ranges = np.array([3.0, 1.0])
    for i, half_range in enumerate(half_ranges):
        noise = (x[:, i::2] - REAL[i]) / (0.1 * STD * half_range)
        assert abs(noise.mean()) < TOLERANCE
        assert noise.var() == pytest.approx(1, abs=2 * TOLERANCE)
        assert abs(correlation(noise[0], noise[1])) < 2 * TOLERANCE


def test_redundant_noise_takes_the_largest_float32_for_unbounded():
    largest = np.finfo(np.float32).max
    space = Box(-largest, largest, (1,), np.float32)
    layout = Redundant(relative_noise=0.1).layout(
        Site(1, 1.0, space, Discrete(2)), np.random.default_rng(0)
    )
    np.testing.assert_allclose(layout.noise_stds, 0.1)


@pytest.mark.parametrize(
    ("process", "drawn"), [(Sinusoid(), "frequencies"), (ActionEcho(), "weights")]
)
def test_random_layouts_are_decided_by_their_generator(process, drawn):
    first, again, other = (
        getattr(process.layout(site(), np.random.default_rng(seed)), drawn) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)


def test_a_process_of_ones_own_is_placed_like_the_built_in_ones():
    @dataclass(frozen=True)
    class Clock(DistractorProcess[int]):
        def layout(self, site, rng):
            return site.num_distractors

        def start(self, layout, observation, rng):
            return np.zeros(layout)

        def advance(self, layout, state, action, observation, rng):
            return state + 1

    env = DistractorWrapper(gym.make("CartPole-v1"), 2, kind=Clock())
    seen = [env.reset(seed=0)[0], env.step(0)[0], env.step(1)[0]]
    np.testing.assert_array_equal(np.stack(seen)[:, 4:], [[0, 0], [1, 1], [2, 2]])


@pytest.mark.parametrize(
    ("kind", "parameters", "error", "sentence"),
    [
        (
            "gausian",
            {},
            ValueError,
            "no kind of distractor 'gausian': choose one of gaussian, .* Did you mean 'gaussian'",
        ),
        ("qqq", {}, ValueError, r"projected\.$"),
        (3, {}, TypeError, "kind must be a name or a DistractorProcess, got 3"),
        (
            "autoregressive",
            {"autocorelation": 0.5},
            TypeError,
            r"no parameter 'autocorelation', theirs are .*Did you mean 'autocorrelation'\?",
        ),
        (Gaussian(), {"autocorrelation": 0.5}, TypeError, "set these parameters where the process"),
        ("autoregressive", {"autocorrelation": 1.0}, ValueError, "at least 0 and less than 1"),
        ("autoregressive", {"autocorrelation": -0.1}, ValueError, "at least 0 and less than 1"),
        ("autoregressive", {"autocorrelation": float("nan")}, ValueError, "less than 1, got nan"),
        ("autoregressive", {"autocorrelation": "high"}, TypeError, "must be a number, got 'high'"),
        ("sinusoid", {"shortest_period": 2.0}, ValueError, "2 < shortest_period"),
        ("sinusoid", {"longest_period": 10.0}, ValueError, "got 20.0 and 10.0"),
        ("action_echo", {"relative_noise": -1.0}, ValueError, "relative_noise must be finite and"),
        ("redundant", {"relative_noise": np.inf}, ValueError, "relative_noise must be finite and"),
        ("multi_scale", {"smallest_factor": 0.0}, ValueError, "needs 0 < smallest_factor"),
        ("multi_scale", {"largest_factor": 0.001}, ValueError, "got 0.01 and 0.001: choose"),
        ("multi_scale", {"largest_factor": np.inf}, ValueError, "both finite, got 0.01 and inf"),
        ("multi_scale", {"largest_factor": "big"}, TypeError, "must be a number, got 'big'"),
        ("projected", {"angle": 0.5}, TypeError, r"no parameter 'angle', theirs are \[\]"),
    ],
)
def test_bad_kinds_and_parameters_are_refused_in_a_sentence(kind, parameters, error, sentence):
    with pytest.raises(error, match=sentence):
        make_process(kind, **parameters)

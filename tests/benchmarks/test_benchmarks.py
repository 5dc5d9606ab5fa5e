"""The benchmarks measure what they say."""

import copy
import mmap
from pathlib import Path

import pytest
import torch

from cases import applied_gradient, needs_compiler
from mbrl_taskmet.benchmarks import updates
from mbrl_taskmet.benchmarks.cases import VARIANTS, make_case
from mbrl_taskmet.benchmarks.decisions import COLUMNS, DecisionBenchmark, cvxpylayer
from mbrl_taskmet.benchmarks.loop import LoopBenchmark
from mbrl_taskmet.benchmarks.measure import (
    MatrixProducts,
    arithmetic_limit,
    interleaved,
    resident_memory,
)
from mbrl_taskmet.benchmarks.reference import (
    AutogradReference,
    HigherReference,
    LeanReference,
    bellman_error,
)
from mbrl_taskmet.decision import simplex_qp
from mbrl_taskmet.mlp import MLP


def double(value):
    return torch.utils._pytree.tree_map(torch.Tensor.double, value)


def fill(modules, networks, parameters):
    """Copy flat parameters into the linear layers of some perceptrons."""
    for module, network, vector in zip(modules, networks, parameters, strict=True):
        linear = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
        for layer, matrix in zip(linear, network.matrices(vector), strict=True):
            layer.weight.data = matrix[:-1].T.clone()
            layer.bias.data = matrix[-1].clone()


def filled(reference_class, case):
    """A reference in double precision with the state of a case."""
    update, state = case.update, case.state
    reference = reference_class(case.batch.observations.shape[1])
    for module in (reference.model, reference.critics, reference.targets):
        module.double()
    reference.phi.data = state.metric.clone()
    dynamics = (reference.model.dynamics, reference.model.reward)
    fill(dynamics, (update.model.dynamics, update.model.reward), update.model.split(state.model))
    network = update.critic.network
    fill((reference.critics.first, reference.critics.second), [network] * 2, state.critic)
    fill((reference.targets.first, reference.targets.second), [network] * 2, state.target_critic)
    return reference


@pytest.fixture
def case():
    case = make_case("taskmet_published", 3, batch_size=64)
    case.state, case.batch = double(case.state), double(case.batch)
    case.state = case.state._replace(metric=case.state.metric + 0.1 * torch.arange(7))
    return case


def test_the_plain_reference_fits_model_and_critic_as_the_published_agent_does(case):
    reference = filled(AutogradReference, case)
    reference.update(case.batch)
    case.state, _ = case.update.fit(case.state, case.batch)
    ours = filled(AutogradReference, case)
    for module in ("model", "critics", "targets"):
        expected = getattr(reference, module).state_dict()
        torch.testing.assert_close(getattr(ours, module).state_dict(), expected)


def test_the_lean_reference_has_the_published_agents_hypergradient(case):
    # A truncated solve depends on what else is in the system, and ours leaves the reward out too.
    reference = filled(LeanReference, case)
    after, _ = case.update.learn_from_task(case.state, case.batch, case.batch)
    # Ten iterations on the normal equations of an indefinite Hessian amplify rounding.
    torch.testing.assert_close(
        applied_gradient(after.metric_moments),
        reference.hypergradient(case.batch),
        rtol=1e-4,
        atol=1e-9,
    )


def descend(module, loss):
    parameters = list(module.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.data -= 1e-2 * gradient


def task_loss_after_a_step(reference, phi, batch):
    """On each inner level, of copies."""
    reference.phi.data = phi
    model, critics = copy.deepcopy((reference.model, reference.critics))
    descend(model, reference.prediction_loss(model, batch))
    descend(critics, bellman_error(critics, batch, reference.model_targets(model, batch)))
    return reference.task_loss(critics, batch).item()


def test_the_unrolled_reference_has_the_gradient_of_the_task_loss_after_a_step(case):
    reference = filled(HigherReference, case)
    gradient = reference.hypergradient(case.batch)
    phi, width = reference.phi.detach().clone(), 1e-4
    expected = [
        (
            task_loss_after_a_step(reference, phi + width * unit, case.batch)
            - task_loss_after_a_step(reference, phi - width * unit, case.batch)
        )
        / (2 * width)
        for unit in torch.eye(len(phi), dtype=phi.dtype)
    ]
    assert gradient.abs().min() > 1e-8
    torch.testing.assert_close(gradient, torch.tensor(expected, dtype=phi.dtype), rtol=1e-3, atol=0)


def test_matrix_products_are_counted_by_shape_and_copies():
    network = MLP((5, 7, 3))
    parameters = torch.zeros(2, network.num_parameters)
    with MatrixProducts() as products:
        network(parameters, torch.zeros(2, 11, 5))
    assert products.shapes == {(2, 11, 5, 7): 1, (2, 11, 7, 3): 1}


def test_the_limit_counts_two_operations_for_each_multiplication():
    left, right = torch.randn(64, 128), torch.randn(128, 32)
    limit = arithmetic_limit(lambda: (left @ right) @ right.T, rounds=5)
    assert limit.flops == 2 * (64 * 128 * 32) * 2
    assert limit.seconds > 0


def test_the_limit_counts_what_is_computed_twice_once():
    left, right = torch.randn(4, 5), torch.randn(5, 6)
    assert arithmetic_limit(lambda: left @ right, rounds=1).flops == 2 * 4 * 5 * 6
    assert arithmetic_limit(lambda: (left @ right, left @ right), rounds=1).flops == 2 * 4 * 5 * 6
    assert arithmetic_limit(lambda: (left @ right, left @ -right), rounds=1).flops == 4 * 4 * 5 * 6


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="there is no /proc")
def test_a_small_leak_shows_in_the_memory_that_is_held():
    leak = mmap.mmap(-1, 16 * 2**20)
    piece = b"x" * 2**16  # all at once would be as much of the heap, which may keep it
    before = resident_memory()
    for _ in range(16 * 2**4):
        leak.write(piece)
    # The interpreter may take or return a huge page or two meanwhile, of two megabytes each.
    assert resident_memory() - before == pytest.approx(16, abs=5)
    leak.close()
    assert resident_memory() - before == pytest.approx(0, abs=5)


def test_functions_take_turns():
    order = []
    functions = {name: lambda name=name: order.append(name) for name in "ab"}
    timings = interleaved(functions, rounds=3, warm_up=1)
    assert "".join(order) == "ab" + "ab" * 3
    assert all(timing.cpu >= 0 for timing in timings.values())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_programmes_are_solved_alike_by_both_that_are_timed():
    pytest.importorskip("cvxpylayers")
    benchmark = DecisionBenchmark(stocks=(5,), batch=3, rounds=1)
    p, Q = benchmark.programmes(5)
    torch.testing.assert_close(simplex_qp(p, Q), cvxpylayer(Q)(p), rtol=0, atol=1e-4)
    rows = list(benchmark.run())
    assert [row["solver"] for row in rows] == ["simplex_qp", "cvxpylayers"]
    assert all(tuple(row) == COLUMNS for row in rows)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_part_of_the_loop_has_a_share_and_the_update_the_largest(variant):
    benchmark = LoopBenchmark(agents=(variant,), num_distractors=(1,), steps=20)
    row = benchmark._run(variant, 1, compiled=False)
    shares = {name: value for name, value in row.items() if name.startswith("share")}
    assert all(0 < share < 1 for share in shares.values()), shares
    assert row["share_update"] == max(shares.values())


@pytest.mark.slow
@needs_compiler
def test_an_updates_row_has_its_ratios(monkeypatch):
    monkeypatch.setattr(updates, "VARIANTS", {"mle": VARIANTS["mle"]})
    rows = list(updates.UpdateBenchmark((1,), rounds=1, turn=2, fresh=False).run())
    assert all(tuple(row) == updates.COLUMNS for row in rows)
    agents = [(row["variant"], row["mode"]) for row in rows[:2]]
    assert agents == [("mle", "eager"), ("mle", "compiled")]
    assert [row["variant"] for row in rows[2:]] == list(updates.REFERENCES)
    plain = rows[2]
    assert plain["ratio_to_reference"] == 1
    for row in rows:
        expected = plain["cpu_ms"] / row["cpu_ms"]
        assert row["ratio_to_reference"] == pytest.approx(expected, rel=0.01, abs=0.01)
        assert row["updates_per_cpu_s"] == pytest.approx(1e3 / row["cpu_ms"], rel=0.01)
    eager, compiled = rows[:2]
    assert eager["flops"] == compiled["flops"] > 0
    assert eager["ratio_to_limit"] / eager["cpu_ms"] == pytest.approx(
        compiled["ratio_to_limit"] / compiled["cpu_ms"], rel=0.05
    )

import warnings

import pytest
import torch

from cases import assert_close, draw_batch, draw_state, needs_compiler, small_shipped_update
from mbrl_taskmet.compilation import CompiledFunction
from mbrl_taskmet.population import member, population_update, stack


def test_each_member_of_a_population_is_updated_as_if_alone():
    update = small_shipped_update()
    states = [draw_state(update, seed) for seed in range(3)]
    batches = [draw_batch(seed) for seed in range(3)]
    task_batches = [draw_batch(10 + seed) for seed in range(3)]
    population, info = population_update(update)(stack(states), stack(batches), stack(task_batches))
    for index, arguments in enumerate(zip(states, batches, task_batches, strict=True)):
        alone, expected = update(*arguments)
        assert_close(member(population, index), alone)
        assert_close({name: value[index] for name, value in info.items()}, expected)


@pytest.mark.slow
@needs_compiler
def test_a_population_compiles_to_the_same_numbers():
    update = small_shipped_update()
    arguments = (
        stack([draw_state(update, seed) for seed in range(2)]),
        stack([draw_batch(seed) for seed in range(2)]),
        stack([draw_batch(10 + seed) for seed in range(2)]),
    )
    step = population_update(update)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a fall back to eager would pass otherwise
        assert_close(CompiledFunction(step, lambda: None)(*arguments), step(*arguments))


def test_stacking_and_taking_a_member_are_inverse():
    batches = [draw_batch(seed) for seed in range(2)]
    assert all(
        torch.equal(a, b) for a, b in zip(member(stack(batches), 1), batches[1], strict=True)
    )

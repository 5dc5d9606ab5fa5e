import warnings

import pytest
import torch

from cases import draw_batch, draw_state, small_shipped_update
from mbrl_taskmet import compilation
from mbrl_taskmet.compilation import CompiledFunction, has_compiler, should_compile

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="there is no C++ compiler")


def cast(value, dtype):
    return torch.utils._pytree.tree_map(lambda tensor: tensor.to(dtype), value)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.float64, 1e-9)], ids=str
)
def test_a_compiled_update_gives_the_eager_numbers_over_a_hundred_updates(dtype, tolerance):
    update = small_shipped_update()
    announced = []
    compiled = CompiledFunction(update.__call__, lambda: announced.append("once"))
    eager_state = compiled_state = cast(draw_state(update), dtype)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a fall back to eager would pass otherwise
        for step in range(100):
            batches = [cast(draw_batch(2 * step + i), dtype) for i in range(2)]
            eager_state, eager_info = update(eager_state, *batches)
            compiled_state, compiled_info = compiled(compiled_state, *batches)
    torch.testing.assert_close(compiled_state, eager_state, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(compiled_info, eager_info, rtol=tolerance, atol=tolerance)
    assert announced == ["once"]


def test_what_does_not_compile_runs_as_it_is_after_one_warning(monkeypatch):
    def refuse(*arguments, **options):
        def fail(*arguments):
            raise RuntimeError("no compiler here\nand much more")

        return fail

    monkeypatch.setattr(torch, "compile", refuse)
    function = CompiledFunction(lambda x: x + 1, lambda: None)
    with pytest.warns(UserWarning, match=r"no compiler here\)") as caught:
        assert function(torch.tensor(1)) == 2
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert function(torch.tensor(2)) == 3


def test_compiling_is_automatic_where_it_pays_and_can_be_done(monkeypatch):
    monkeypatch.setattr(compilation, "has_compiler", lambda: True)
    assert should_compile("auto", compilation.PAYS_AFTER)
    assert not should_compile("auto", compilation.PAYS_AFTER - 1)
    monkeypatch.setattr(compilation, "has_compiler", lambda: False)
    assert not should_compile("auto", compilation.PAYS_AFTER)
    assert should_compile(True, 1)
    assert not should_compile(False, 10**9)


@pytest.mark.slow
@needs_compiler
def test_any_number_of_functions_of_the_same_code_compile():
    def shifted(shift):
        return lambda x: x + shift

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for shift in range(10):
            function = CompiledFunction(shifted(shift), lambda: None)
            assert function(torch.ones(2)).tolist() == [1 + shift, 1 + shift]

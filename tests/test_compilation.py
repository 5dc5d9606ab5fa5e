import os
import pickle
import re
import warnings

import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from cases import draw_batch, draw_state, draws, needs_compiler, small_shipped_update
from mbrl_taskmet import compilation
from mbrl_taskmet.agents.learner import Learner
from mbrl_taskmet.compilation import CompiledFunction, should_compile
from mbrl_taskmet.normalizer import standardizer


def cast(value, dtype):
    return torch.utils._pytree.tree_map(lambda tensor: tensor.to(dtype), value)


def set_from_without(state, seed):
    """Other units of observations, and another share of the step size."""
    shift, spread = draws(seed)(2, state.normalizer.mean.shape[-1]).to(state.model)
    return state._replace(
        normalizer=standardizer(0.1 * shift, 1 + 0.1 * spread.abs()),
        annealing=torch.full_like(state.annealing, 0.9 - seed / 100),
    )


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.float64, 1e-9)], ids=str
)
def test_a_compiled_learner_gives_the_eager_numbers_over_a_hundred_updates(dtype, tolerance):
    update = small_shipped_update()
    eager, compiled = (
        Learner(update, torch.Generator(), torch.device("cpu"), dtype) for _ in range(2)
    )
    announced = []
    compiled.compile(lambda: announced.append("once"))
    eager.state = compiled.state = cast(draw_state(update), dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a fall back to eager would pass otherwise
        for step in range(100):
            batches = [cast(draw_batch(2 * step + i), dtype) for i in range(2)]
            infos = []
            for learner in (eager, compiled):
                if step % 25 == 0:  # what the shell sets between updates
                    learner.state = set_from_without(learner.state, step)
                infos.append(learner.step(*batches, task=step >= 50))
    torch.testing.assert_close(compiled.state, eager.state, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(*infos, rtol=tolerance, atol=tolerance)
    assert announced == ["once", "once"]


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
    assert not should_compile(False, 10**9)


def test_compiling_without_a_compiler_is_refused_in_one_sentence(monkeypatch):
    assert should_compile(True, 1) == compilation.has_compiler()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(UserWarning, match=r"There is no C\+\+ compiler, .* install g\+\+"):
        assert not should_compile(True, 1)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("no compiler here\nand much more", "no compiler here"),
        (
            "CppCompileError: C++ compile error\n\nOutput:\nmain.cpp:1:10: fatal error: Python.h: "
            "No such file or directory\ncompilation terminated.",
            "main.cpp:1:10: fatal error: Python.h: No such file or directory",
        ),
        ("backend='inductor' raised:\nImportError: file too short", "ImportError: file too short"),
        ("", "RuntimeError"),
    ],
)
def test_the_warning_says_what_went_wrong(monkeypatch, message, line):
    def refuse(*arguments, **options):
        raise RuntimeError(message)

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.warns(UserWarning, match=re.escape(f"Compiling failed ({line});")):
        CompiledFunction(lambda x: x, lambda: None)(torch.zeros(1))


def test_the_warning_names_the_cache_also_where_nobody_chose_one(monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError("damaged")

    monkeypatch.setattr(torch, "compile", refuse)
    monkeypatch.setattr(compilation, "_keep_graphs", lambda: None)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with pytest.warns(UserWarning, match=f"Delete {re.escape(default_cache_dir())} if"):
        CompiledFunction(lambda x: x, lambda: None)(torch.zeros(1))


def test_a_pickled_function_leaves_its_graphs_behind(graphs):
    function = CompiledFunction(torch.neg, print)
    function(torch.ones(2))
    copy = pickle.loads(pickle.dumps(function))
    assert copy(torch.ones(2)).tolist() == [-1, -1]
    assert len(graphs) == 2


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


@pytest.fixture
def graphs(monkeypatch):
    """The functions that were compiled, each as it is: a graph for each first call."""
    compiled = []

    def keep(function, **options):
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", keep)
    return compiled


@pytest.mark.parametrize(
    "others",
    [
        lambda x, y: (x, x),
        lambda x, y: (x.T, y),
        lambda x, y: (x.double(), y),
        lambda x, y: (x.clone().requires_grad_(), y),
        lambda x, y: (x, (y,)),
        lambda x, y: (x, 1),
        lambda x, y: (x, 1.0),
        lambda x, y: (x, True),
    ],
    ids=["one for both", "transposed", "double", "with gradient", "nested", "1", "1.0", "True"],
)
def test_what_a_graph_takes_for_granted_gets_a_graph_of_its_own(graphs, others):
    function = CompiledFunction(lambda x, y: x, lambda: None)
    x, y = torch.zeros(3, 3), torch.zeros(3, 3)
    for arguments in [(x, y), (x + 1, y + 1), others(x, y), others(x + 1, y + 1)]:
        function(*arguments)
    assert len(graphs) == 2


def test_gradients_that_are_wanted_get_a_graph_of_their_own(graphs):
    function = CompiledFunction(lambda x: x, lambda: None)
    function(torch.zeros(3))
    with torch.no_grad():
        function(torch.zeros(3))
    assert len(graphs) == 2


@pytest.mark.parametrize("chosen", [None, default_cache_dir()], ids=["nothing", "by torch"])
def test_graphs_are_kept_among_the_users_caches(graphs, monkeypatch, tmp_path, chosen):
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    if chosen is not None:
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", chosen)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    CompiledFunction(lambda x: x, lambda: None)(torch.zeros(3))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "mbrl_taskmet" / "inductor")


def test_graphs_are_kept_where_the_user_says(graphs, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    CompiledFunction(lambda x: x, lambda: None)(torch.zeros(3))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path)


def test_where_the_users_caches_cannot_be_written_torchs_own_folder_stays(
    graphs, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default_cache_dir())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    CompiledFunction(lambda x: x, lambda: None)(torch.zeros(3))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == default_cache_dir()


@needs_compiler
def test_a_cache_that_cannot_be_written_does_not_stop_training(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "file" / "cache"))
    function = CompiledFunction(lambda x: x + 1, lambda: None)
    with pytest.warns(UserWarning, match="Compiling failed .* going on without"):
        assert function(torch.tensor(1)) == 2

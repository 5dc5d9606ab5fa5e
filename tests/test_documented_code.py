"""The README's Python code and the example run, with fewer steps."""

import re
import runpy
from pathlib import Path

import pytest

from mbrl_taskmet import TaskMet

ROOT = Path(__file__).parents[1]
EXAMPLE = str(ROOT / "examples" / "custom_environment.py")
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def hover():
    """The example's environment, which the README leaves to the reader."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskMet, "learn", lambda self, total_timesteps: self)
        return runpy.run_path(EXAMPLE)["Hover"]


@pytest.fixture
def few_steps(monkeypatch, tmp_path):
    """A thousand updates and one evaluation, wherever the code asks for more."""
    learn = TaskMet.learn
    monkeypatch.setattr(
        TaskMet, "learn", lambda self, total_timesteps, **options: learn(self, 2_000, **options)
    )
    monkeypatch.chdir(tmp_path)


def test_the_example_prints_the_weights_of_its_dimensions(few_steps, capsys):
    runpy.run_path(EXAMPLE)
    names = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert sorted(names) == [*(f"distractor_{i}" for i in range(4)), "height", "speed"]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_readme_runs(block, hover, few_steps):
    exec(block, {"Hover": hover})

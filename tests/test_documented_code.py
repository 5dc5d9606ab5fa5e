"""The Python code that the documentation shows runs, with fewer steps."""

import re
import runpy
from pathlib import Path

import pytest

from mbrl_taskmet import TaskMet

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "custom_environment.py"


@pytest.fixture(autouse=True)
def few_steps(monkeypatch, tmp_path):
    """A thousand updates and one evaluation, wherever the code asks for more."""
    learn = TaskMet.learn
    monkeypatch.setattr(
        TaskMet, "learn", lambda self, total_timesteps, **options: learn(self, 2_000, **options)
    )
    monkeypatch.chdir(tmp_path)


def test_the_example_prints_the_weights_of_its_dimensions(capsys):
    runpy.run_path(str(EXAMPLE))
    names = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert sorted(names) == [*(f"distractor_{i}" for i in range(4)), "height", "speed"]


def python_blocks():
    text = (ROOT / "README.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S)


@pytest.mark.parametrize("number", range(len(python_blocks())))
def test_a_block_of_the_readme_runs(number):
    hover = runpy.run_path(str(EXAMPLE))["Hover"]
    exec(python_blocks()[number], {"Hover": hover})

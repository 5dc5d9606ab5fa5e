"""The command line, called as a user would call it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mbrl_taskmet.cli.main import main

TINY = (
    *("--timesteps", 300, "--learning-starts", 100, "--metric-warmup", 50, "--batch-size", 16),
    *("--eval-every", 100, "--eval-episodes", 2, "--num-distractors", 2),
    *("--critic-hidden", 8, "--model-hidden", 8),
)


@pytest.fixture(scope="session")
def tiny():
    """Options with which TaskMet trains in a second."""
    return TINY


@pytest.fixture(scope="session")
def shell():
    """Run the installed command in a process of its own."""
    command = shutil.which("mbrl-taskmet", path=str(Path(sys.executable).parent))

    def run(*arguments, cwd):
        return subprocess.run(
            [command, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def trained(shell, tmp_path_factory):
    """The result of training TaskMet with two seeds, and the folder of the runs."""
    place = tmp_path_factory.mktemp("trained")
    result = shell("train", "taskmet", *TINY, "--seeds", 3, 4, "--folder", "runs", cwd=place)
    return result, place / "runs"


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run the command in this process, in an empty folder: its status, output and complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # how the parser leaves
            status = stop.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run

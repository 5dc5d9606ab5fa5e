"""How the command ends before its time."""

import os
import subprocess
import sys
import time


def test_a_terminated_study_leaves_no_processes_and_no_temporary_files(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    arguments = ("study", "first_light", "--seeds", "0", "--jobs", "1", "--results", tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "mbrl_taskmet.cli.main", *arguments],
        env={**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    while not list(scratch.glob("*/*/config.json")):
        assert process.poll() is None
        time.sleep(0.1)
    process.terminate()
    # All of its processes hold its output open.
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 143
    assert complaint == "mbrl-taskmet: interrupted; what was written stays.\n"
    assert not list(scratch.iterdir())

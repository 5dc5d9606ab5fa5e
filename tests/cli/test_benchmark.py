"""What the command prints and writes; the measuring has its own tests."""

import csv
import json

import pytest

from mbrl_taskmet.benchmarks import loop


@pytest.fixture
def measured(monkeypatch):
    """Rows that take no time to measure."""
    rows = [dict.fromkeys(loop.COLUMNS, number) for number in (1, 2)]
    monkeypatch.setattr(loop.LoopBenchmark, "run", lambda self: iter(rows))
    return rows


def test_a_benchmark_is_printed_as_json(cli, measured):
    status, output, _ = cli("benchmark", "--parts", "loop", "--json")
    assert status == 0
    assert json.loads(output) == {"loop": measured}


def test_a_benchmark_is_written_as_a_table(cli, measured, tmp_path):
    status, output, _ = cli("benchmark", "--parts", "loop", "--output", tmp_path)
    assert status == 0
    assert "loop" in output
    with (tmp_path / "loop.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert written == [{name: str(value) for name, value in row.items()} for row in measured]


def test_an_earlier_table_stays_until_all_is_measured(cli, measured, tmp_path, monkeypatch):
    assert cli("benchmark", "--parts", "loop", "--output", tmp_path)[0] == 0
    before = (tmp_path / "loop.csv").read_text()

    def interrupted(self):
        yield measured[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.LoopBenchmark, "run", interrupted)
    cli("benchmark", "--parts", "loop", "--output", tmp_path)
    assert (tmp_path / "loop.csv").read_text() == before
    assert len((tmp_path / "loop.csv.part").read_text().splitlines()) == 2


def test_a_benchmark_of_nothing_writes_nothing(cli, measured, tmp_path):
    measured.clear()
    assert cli("benchmark", "--parts", "loop", "--output", tmp_path)[0] == 0
    assert not list(tmp_path.iterdir())


def test_quick_timings_do_not_replace_those_reported(cli, measured, tmp_path):
    status, _, complaint = cli("benchmark", "--quick", "--output", "benchmarks/results")
    assert status == 2
    assert "choose another folder with --output" in complaint

"""What the command prints and writes; the measuring has its own tests."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from mbrl_taskmet import benchmarks
from mbrl_taskmet.benchmarks import decisions, loop, memory, populations, scaling, updates

PARTS = {
    "update": updates.UpdateBenchmark,
    "loop": loop.LoopBenchmark,
    "scaling": scaling.ScalingBenchmark,
    "memory": memory.MemoryBenchmark,
    "population": populations.PopulationBenchmark,
    "decision": decisions.DecisionBenchmark,
}
every_part = pytest.mark.parametrize("part", PARTS)


@pytest.fixture
def measured(monkeypatch):
    """Rows that take no time to measure."""
    rows = [dict.fromkeys(loop.COLUMNS, number) for number in (1, 2)]
    monkeypatch.setattr(loop.LoopBenchmark, "run", lambda self: iter(rows))
    return rows


@pytest.fixture
def asked(monkeypatch):
    """The benchmarks that were asked for, none of which is run."""
    benchmarks = []
    for benchmark in PARTS.values():
        monkeypatch.setattr(benchmark, "run", lambda self: iter(benchmarks.append(self) or ()))
    return benchmarks


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
    status, _, complaint = cli("benchmark", "--parts", "loop", "--output", tmp_path)
    assert (status, complaint) == (130, "mbrl-taskmet: interrupted; what was written stays.\n")
    assert (tmp_path / "loop.csv").read_text() == before
    assert len((tmp_path / "loop.csv.part").read_text().splitlines()) == 2


def test_a_benchmark_of_nothing_writes_nothing(cli, measured, tmp_path):
    measured.clear()
    assert cli("benchmark", "--parts", "loop", "--output", tmp_path)[0] == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [["--quick"], ["--num-distractors", 3]])
@pytest.mark.parametrize("through_a_link", [False, True])
def test_timings_of_a_part_do_not_replace_those_reported_wherever_they_are_made(
    cli, asked, tmp_path, through_a_link, option
):
    folder = Path(benchmarks.__file__).resolve().parent / "results"
    if through_a_link:
        (tmp_path / "link").symlink_to(folder)
        folder = tmp_path / "link"
    status, output, complaint = cli("benchmark", *option, "--output", folder)
    assert (status, output, asked) == (2, "", [])
    assert complaint.count("\n") == 1
    assert option[0] in complaint
    assert "choose another folder with --output" in complaint


def test_quick_timings_may_lie_in_a_folder_of_the_same_name(cli, asked):
    assert cli("benchmark", "--quick", "--output", "benchmarks/results")[0] == 0


@every_part
def test_without_options_a_part_is_timed_as_it_is_reported(cli, asked, part):
    assert cli("benchmark", "--parts", part)[0] == 0
    assert asked == [PARTS[part]()]


@every_part
def test_quick_makes_every_part_smaller(cli, asked, part):
    assert cli("benchmark", "--quick", "--parts", part)[0] == 0
    (quick,) = map(asdict, asked)
    whole = asdict(PARTS[part]())
    assert quick != whole
    for name, value in quick.items():
        if isinstance(value, Sequence):
            assert set() < set(value) <= set(whole[name])
        else:
            assert value <= whole[name]
    assert max(quick.get("num_distractors", [0])) <= 16


def test_the_sizes_reach_update_and_loop(cli, asked):
    assert cli("benchmark", "--num-distractors", 3, 0)[0] == 0
    assert [benchmark.num_distractors for benchmark in asked] == [(3, 0)] * 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--parts", "No part is chosen: choose at least one of update, loop, scaling, memory"),
        ("--num-distractors", "--num-distractors must be one or more numbers from 0 up"),
        ("--num-distractors 16 -1", "--num-distractors must be one or more numbers from 0 up"),
        ("--quick --num-distractors 3", "leave out --quick or --num-distractors"),
        ("--quick --num-distractors 0 16 128 512", "leave out --quick or --num-distractors"),
    ],
)
def test_what_says_nothing_or_two_things_is_refused(cli, asked, options, sentence):
    status, output, complaint = cli("benchmark", *options.split())
    assert (status, output, asked) == (2, "", [])
    assert complaint.count("\n") == 1
    assert sentence in complaint

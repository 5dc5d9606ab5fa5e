"""A study does what is missing, once, and shows what its results hold."""

import csv
import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import pytest
from matplotlib.figure import Figure
from reported import RESULTS
from stable_baselines3.common.vec_env import VecNormalize

from mbrl_taskmet.agents import DivergenceError, MLEConfig, TaskMetConfig
from mbrl_taskmet.cli.main import main
from mbrl_taskmet.relevance import Given
from mbrl_taskmet.runs import baselines
from mbrl_taskmet.runs.baselines import BASELINES, BaselineRun, dqn_normalized, sac_matched
from mbrl_taskmet.runs.environments import EnvironmentConfig
from mbrl_taskmet.runs.run_folder import RunFolder
from mbrl_taskmet.studies import STUDIES
from mbrl_taskmet.studies.ablation import ABLATION
from mbrl_taskmet.studies.capacity import CAPACITY, WIDTHS
from mbrl_taskmet.studies.curves import curves
from mbrl_taskmet.studies.figures import draw_intervals
from mbrl_taskmet.studies.first_light import FIRST_LIGHT
from mbrl_taskmet.studies.statistics import Summary
from mbrl_taskmet.studies.study import Study
from mbrl_taskmet.studies.summary import summary_table

SMALL = {"learning_starts": 50, "batch_size": 8, "critic_hidden": (4,), "model_hidden": (4,)}
TINY = replace(
    FIRST_LIGHT,
    name="tiny",
    variants={"mle": MLEConfig(**SMALL), "taskmet": TaskMetConfig(metric_warmup=0, **SMALL)},
    environments=[EnvironmentConfig(num_distractors=2)],
    timesteps=120,
    eval_every=60,
    seeds=(0, 1),
)


def rows_of(study, episode_return=1.0):
    """Results as if every run had been done."""
    for variant, config in study.runs():
        labels = study.labels(variant, config)
        for timesteps in range(study.eval_every, study.timesteps + 1, study.eval_every):
            row = dict.fromkeys(study.columns, "") | {
                key: str(value) for key, value in labels.items() if key in study.columns
            }
            yield row | {
                "timesteps": str(timesteps),
                "episode_return": str(episode_return + config.seed),
                "real_over_distractor_ratio": "2.0",
            }


AGENT_STUDIES = {name: study for name, study in STUDIES.items() if isinstance(study, Study)}


@pytest.mark.parametrize("name", STUDIES)
def test_reported_seeds_are_not_tuning_seeds(name):
    study = STUDIES[name]
    assert max(study.seeds) < 10
    seeds = [column for column in study.columns if column in ("seed", "dataset_seed", "model_seed")]
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))  # of runs that were cut off too
    assert {int(row[seed]) for row in rows for seed in seeds} <= set(range(10))
    assert seeds
    assert rows


def test_what_the_results_hold_is_not_missing():
    assert TINY.missing(list(rows_of(TINY))) == []
    assert [config.seed for _, config in TINY.missing([])] == [0, 0, 1, 1]


def test_a_run_that_was_cut_off_is_done_again_and_its_remains_are_dropped(tmp_path):
    path, rows = tmp_path / "tiny.csv", list(rows_of(TINY))
    TINY.append(path, [list(row.values()) for row in rows])
    whole = path.read_text()
    path.write_text(whole[: whole.rindex("taskmet,2,1,120") + 12])
    kept = TINY.read(path)
    ((variant, config),) = TINY.missing(kept)
    assert (variant, config.seed) == ("taskmet", 1)
    TINY.append(path, [list(row.values()) for row in rows if row not in kept])
    assert TINY.read(path) == rows
    assert TINY.missing(TINY.read(path)) == []


def test_results_of_shorter_runs_outlast_a_study_that_became_longer(tmp_path):
    path, rows = tmp_path / "tiny.csv", list(rows_of(TINY))
    TINY.append(path, [list(row.values()) for row in rows])
    longer = replace(TINY, timesteps=240, seeds=[1, 2])
    assert longer.read(path) == []
    done = list(rows_of(longer))
    longer.append(path, [list(row.values()) for row in done])
    assert longer.read(path) == done
    assert [row for row in rows if row["seed"] == "0"] == [
        row for row in csv.DictReader(path.open()) if row["seed"] == "0"
    ]


def test_lines_that_came_in_twice_or_too_long_are_left_out(tmp_path):
    path, rows = tmp_path / "tiny.csv", list(rows_of(TINY))
    TINY.append(path, [list(row.values()) for row in rows])
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *lines, *lines[:2], lines[0] + ",7"]) + "\n")
    assert TINY.read(path) == rows
    TINY.append(path, [list(row.values()) for row in rows[:2]])
    assert sorted(path.read_text().splitlines()) == sorted([header, *lines])


def test_runs_that_were_evaluated_more_often_are_read_at_the_studys_steps(tmp_path):
    path, finer = tmp_path / "tiny.csv", replace(TINY, eval_every=20)
    finer.append(path, [list(row.values()) for row in rows_of(finer)])
    assert [row["timesteps"] for row in TINY.read(path)] == ["60", "120"] * 4


def test_a_longer_run_is_not_taken_for_a_shorter_one(tmp_path):
    """Rates that fall at the end of a run fall where it ends."""
    path, longer = tmp_path / "tiny.csv", replace(TINY, timesteps=180)
    longer.append(path, [list(row.values()) for row in rows_of(longer)])
    with pytest.raises(ValueError, match="an evaluation after 180 steps of 120"):
        TINY.read(path)


def test_a_run_adds_its_rows_at_the_studys_steps_alone(tmp_path):
    """An agent that collects many steps at a time was evaluated after 90 and 128 too."""
    evaluated = ("timesteps", "episode_return", "real_over_distractor_ratio", "real_on_top")
    lines = [f"{steps},{steps / 2},3.0,4" for steps in (60, 90, 120, 128)]
    RunFolder(tmp_path).evaluations.write_text("\n".join([",".join(evaluated), *lines]) + "\n")
    variant, run = next(TINY.runs())
    assert TINY.rows(variant, run, tmp_path) == [
        ["mle", 2, 0, "60", "30.0", "3.0", "4"],
        ["mle", 2, 0, "120", "60.0", "3.0", "4"],
    ]


def test_what_several_write_at_once_is_all_kept(tmp_path):
    path, study = tmp_path / "tiny.csv", replace(TINY, seeds=range(10))
    runs: dict = {}
    for row in rows_of(study):
        runs.setdefault(study.key(row), []).append(list(row.values()))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda run: study.append(path, run), runs.values()))
    assert len(runs) == 20
    assert study.missing(study.read(path)) == []


def test_of_a_run_that_was_done_twice_the_later_rows_count(tmp_path):
    """As where files of two machines were put together."""
    path, rows = tmp_path / "tiny.csv", list(rows_of(TINY, 5.0))
    TINY.append(path, [list(row.values()) for row in rows_of(TINY, 1.0)])
    own = path.read_text()
    TINY.append(path, [list(row.values()) for row in rows])
    _, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([own, *lines]))
    assert TINY.read(path) == rows


def test_the_order_of_lines_does_not_matter(tmp_path):
    path, study = tmp_path / "tiny.csv", replace(TINY, timesteps=720)  # 60 and 600
    rows = list(rows_of(study))
    study.append(path, [list(row.values()) for row in rows])
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *sorted(lines)]))
    assert study.read(path) == rows


def test_a_run_that_lacks_a_line_is_done_again(tmp_path):
    path = tmp_path / "tiny.csv"
    TINY.append(path, [list(row.values()) for row in rows_of(TINY)])
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *lines[1:]]))
    ((variant, run),) = TINY.missing(TINY.read(path))
    assert (variant, run.seed) == ("mle", 0)


def test_a_last_line_that_was_cut_off_does_not_count(tmp_path):
    path = tmp_path / "tiny.csv"
    TINY.append(path, [list(row.values()) for row in rows_of(TINY)])
    path.write_text(path.read_text().rstrip())
    assert len(TINY.missing(TINY.read(path))) == 1


def test_an_empty_file_holds_no_results(tmp_path):
    path, rows = tmp_path / "tiny.csv", list(rows_of(TINY))
    path.touch()
    assert TINY.read(path) == []
    TINY.append(path, [list(row.values()) for row in rows])
    assert TINY.read(path) == rows


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"timesteps": "\udcff"}, "'utf-8' codec can't decode byte 0xff"),
        ({"timesteps": "sixty"}, "'sixty' as timesteps"),
        ({"num_distractors": "two"}, "'two' as num_distractors"),
        ({"seed": "0.5"}, "'0.5' as seed"),
        ({"episode_return": ""}, "'' as episode_return"),
        ({"episode_return": "inf"}, "'inf' as episode_return"),
        ({"real_over_distractor_ratio": "x"}, "'x' as real_over_distractor_ratio"),
        ({"study": "tinier"}, "'tinier' as study"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path, damage, reason):
    path, study = tmp_path / "tiny.csv", replace(TINY, columns=("study", *TINY.columns))
    good, *others = rows_of(study)
    study.append(path, [list(row.values()) for row in (good, *others)])
    line, damaged = (",".join((good | some).values()) for some in ({}, damage))
    whole = path.read_text()
    assert line in whole
    path.write_text(whole.replace(line, damaged, 1), errors="surrogateescape")
    with pytest.raises(ValueError, match=rf"tiny.csv holds what is no result .*\({reason}") as told:
        study.read(path)
    assert str(told.value).endswith("repair it, or move it away.")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds what is no result .*: repair it, or move it"):
        TINY.read(tmp_path)


def test_results_with_other_columns_are_not_mixed_in(tmp_path):
    path = tmp_path / "tiny.csv"
    for text in ("agent,seed\nmle,0\n", "notes of my own"):
        path.write_text(text)
        with pytest.raises(ValueError, match="has other columns than the study tiny"):
            TINY.append(path, [])
        assert path.read_text() == text


def test_a_study_that_cannot_end_or_tell_its_runs_apart_is_refused():
    with pytest.raises(ValueError, match="never evaluates its end"):
        replace(TINY, eval_every=50)
    with pytest.raises(ValueError, match="add `variant`"):
        replace(TINY, variants={"a": MLEConfig(), "b": MLEConfig(gamma=0.9)})


def test_results_of_other_settings_do_not_count():
    rows = [row | {"num_distractors": "3"} for row in rows_of(TINY)]
    assert len(TINY.missing(rows)) == 4


def test_curves_gather_the_seeds_of_each_variant():
    groups = curves(TINY, list(rows_of(TINY)))
    assert [group.variant for group in groups] == ["mle", "taskmet"]
    for group in groups:
        assert group.timesteps.tolist() == [60, 120]
        assert group.returns.tolist() == [[1, 1], [2, 2]]
        assert group.final.tolist() == [1, 2]


@pytest.fixture
def saved(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *a, **o: (figures.append(f), save(f, *a, **o)))
    return figures


def test_ablation_is_drawn_by_the_ingredient_with_every_seed(tmp_path, saved):
    """The first kind misses what was left out last, and of the second only that has run."""
    *most, last = ABLATION.variants
    rows = [
        row | {"episode_return": str(len(row["variant"]) + int(row["seed"]))}
        for row in rows_of(ABLATION)
        if (row["variant"] == last) == (row["distractor_kind"] == "gaussian")
    ]
    ABLATION.picture(rows, tmp_path / "ablation.png")
    assert (tmp_path / "ablation.png").stat().st_size > 10_000
    final, area, ratio, *others = saved[0].axes
    assert [label.get_text() for label in final.get_yticklabels()] == most
    assert final.yaxis_inverted()
    assert ratio.get_xscale() == "log"
    for axis in (final, area):
        (means,) = axis.containers
        assert means.lines[0].get_ydata().tolist() == list(range(len(most)))
        assert means.lines[0].get_xdata().tolist() == [len(variant) + 2 for variant in most]
        seeds = [list(line.get_xdata()) for line in axis.lines if line.get_color() == "C1"]
        assert seeds == [[len(variant) + seed for seed in range(5)] for variant in most]
    assert set(ratio.containers[0].lines[0].get_xdata()) == {2}
    # What is shipped is a line to compare with, where it has run.
    assert [line.get_xdata() for line in final.lines if line.get_linestyle() == ":"] == [[9, 9]]
    assert not [line for axis in others for line in axis.lines if line.get_linestyle() == ":"]


def test_capacity_is_drawn_over_the_width_with_the_models_error(tmp_path, saved):
    """Returns of one and more, errors that are a hundredth of the width."""
    rows = [
        row | {"model_mse_real": str(int(row["model_hidden"].split("-")[0]) / 100)}
        for row in rows_of(CAPACITY)
    ]
    CAPACITY.picture(rows, tmp_path / "capacity.png")
    assert (tmp_path / "capacity.png").stat().st_size > 10_000
    returns, errors = saved[0].axes
    # Five agents at all widths, and four more at the smallest ones.
    measured = [WIDTHS] * 5 + [WIDTHS[:3]] * 4
    assert len(returns.containers) == len(errors.containers) == 9
    # The agents stand beside each other, the fifth of nine at the width itself.
    assert errors.containers[4].lines[0].get_xdata().tolist() == list(WIDTHS)
    for number, (container, widths) in enumerate(zip(errors.containers, measured, strict=True)):
        at, heights = container.lines[0].get_data()
        assert list(at) == pytest.approx([1.03 ** (number - 4) * width for width in widths])
        assert list(heights) == pytest.approx([width / 100 for width in widths])
    # The interquartile mean of 1, 2, 3, 4 and 5.
    assert set(returns.containers[0].lines[0].get_ydata()) == {3}
    reported = [line for line in returns.lines if line.get_linestyle() == ":"]
    assert sorted(line.get_ydata()[0] for line in reported) == [166, 320, 412]


def test_what_shares_a_picture_looks_different_and_stays_within_it(tmp_path, saved):
    """The study that has more variants than there are colours, and returns of others."""
    study = replace(STUDIES["distractors"], timesteps=4_000)
    study.picture(list(rows_of(study)), tmp_path / "distractors.png")
    courses, by_number = saved
    for figure in saved:
        figure.canvas.draw()
    (legend,) = by_number.legends
    handles, names = by_number.axes[0].get_legend_handles_labels()
    looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line, *_ in handles]
    assert len(names) == len(study.variants) + len(study.published)
    assert len(set(looks)) == len(looks)
    lines, _ = courses.axes[1].get_legend_handles_labels()
    assert len(lines) == len(study.variants)
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines)
    for artist in (by_number._suptitle, legend):
        (left, low), (right, high) = artist.get_window_extent().get_points()
        assert min(left, low) >= 0
        assert right <= by_number.bbox.width
        assert high <= by_number.bbox.height


def test_the_final_performance_is_the_mean_of_the_last_five_evaluations():
    rows = [
        row | {"episode_return": str(value), "model_mse_real": str(100 * value)}
        for row in rows_of(replace(TINY, eval_every=1, timesteps=7))
        for value in [int(row["timesteps"]) + 3 * int(row["seed"])]
    ]
    for group in curves(TINY, rows):
        assert group.final.tolist() == [5, 8]
        assert group.final_error.tolist() == [500, 800]


def test_the_table_shows_what_was_computed_by_hand():
    """Of three seeds the second has the lowest return, and the third the lowest AUC."""
    study = replace(
        TINY,
        columns=(*TINY.columns, "ranking_auc"),
        variants={"taskmet": TaskMetConfig(**SMALL)},
        eval_every=1,
        timesteps=7,
        seeds=(0, 1, 2),
    )
    levels, around = (20, 10, 60), (-7, -7, -2, -1, 0, 1, 2)
    rows = [
        row
        | {
            "episode_return": str(levels[seed] + around[step - 1]),
            "real_over_distractor_ratio": ("2", "9", "3")[seed] if step == 7 else "1",
            "ranking_auc": ("0.75", "1", "0.625")[seed] if step == 7 else "0.5",
        }
        for row in rows_of(study)
        for seed, step in [(int(row["seed"]), int(row["timesteps"]))]
    ]
    shown = {column.header: list(column.cells) for column in summary_table(study, rows).columns}
    assert shown == {
        "num_distractors": ["2"],
        "variant": ["taskmet"],
        "seeds": ["3"],
        # Of 27 bootstrap samples one is all of the worst seed, one all of the best: 3.7 %.
        "final": ["30 [10, 60]"],
        "area": ["28 [8, 58]"],
        "worst": ["10"],
        "ratio": ["3.0"],
        "AUC": ["0.625"],
    }


def test_the_table_shows_the_models_error_where_nothing_is_to_be_separated():
    """Of three seeds that err by 0.1, 0.01 and 0.001 in all evaluations."""
    study = replace(CAPACITY, variants={"mle-2": CAPACITY.variants["mle-2"]}, seeds=(0, 1, 2))
    rows = [
        row
        | {
            "model_mse_real": str(10.0 ** -(1 + int(row["seed"]))),
            "real_over_distractor_ratio": "",
            "ranking_auc": "",
        }
        for row in rows_of(study)
    ]
    shown = {column.header: list(column.cells) for column in summary_table(study, rows).columns}
    assert list(shown) == ["model_hidden", "variant", "seeds", "final", "area", "worst", "error"]
    assert shown["error"] == ["0.037"]


def test_an_interval_is_drawn_from_its_low_end_to_its_high_one():
    axis = Figure().subplots()
    draw_intervals(axis, [7, 8], [Summary(2.0, 1.0, 5.0), Summary(4.0, 0.5, 4.25)])
    line, _, (bars,) = axis.containers[0].lines
    assert line.get_xydata().tolist() == [[7, 2], [8, 4]]
    ends = [segment.tolist() for segment in bars.get_segments()]
    assert ends == [[[7, 1], [7, 5]], [[8, 0.5], [8, 4.25]]]


def test_an_interval_lies_on_its_side_if_asked_to():
    axis = Figure().subplots()
    draw_intervals(axis, [7], [Summary(2.0, 1.0, 5.0)], sideways=True)
    line, _, (bars,) = axis.containers[0].lines
    assert line.get_xydata().tolist() == [[2, 7]]
    assert [segment.tolist() for segment in bars.get_segments()] == [[[1, 7], [5, 7]]]


@pytest.mark.slow
def test_a_study_runs_from_the_command_line_and_then_has_nothing_left_to_do(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    arguments = ["study", "tiny", "--results", str(tmp_path), "--seeds", "0"]
    assert main(arguments) == 0
    written = (tmp_path / "tiny.csv").read_text()
    rows = list(csv.DictReader(written.splitlines()))
    assert [(r["agent"], r["timesteps"]) for r in rows].count(("taskmet", "120")) == 1
    assert len(rows) == 4
    assert tuple(rows[0]) == TINY.columns
    assert (tmp_path / "tiny.png").stat().st_size > 1_000
    assert main(arguments) == 0
    assert (tmp_path / "tiny.csv").read_text() == written
    assert "2 of the study's 4 runs are missing." in capsys.readouterr().out


def test_a_run_that_diverges_stays_as_it_was_last_evaluated(monkeypatch, tmp_path, capsys):
    """The learner leaves the finite numbers after the first evaluation of three, or before it."""
    fast = {**SMALL, "learning_rate": 1e30}
    late = MLEConfig(**{**fast, "learning_starts": 70})
    early = TaskMetConfig(**{**fast, "learning_starts": 20})
    study = replace(TINY, variants={"late": late, "early": early}, timesteps=180, seeds=(0,))
    monkeypatch.setitem(STUDIES, "tiny", study)
    arguments = ["study", "tiny", "--results", str(tmp_path)]
    assert main([*arguments, "--variants", "late"]) == 0
    found = capsys.readouterr()
    said = " ".join(found.err.split())
    assert "late: DivergenceError: " in said
    assert "lower the learning rates" in said
    assert said.endswith("Its last evaluation stands for those that it did not come to.")
    rows = study.read(tmp_path / "tiny.csv")
    assert [row.pop("timesteps") for row in rows] == ["60", "120", "180"]
    assert rows[0] == rows[1] == rows[2]
    assert "1 of the study's 2 runs are missing." in found.out
    # Of a run that was never evaluated there is nothing to keep.
    assert main(arguments) == 1
    found = capsys.readouterr()
    assert "early: DivergenceError: " in found.err
    assert "stands for" not in found.err
    assert "1 of the study's 2 runs are missing." in found.out


def leave_evaluations(folder, *rows):
    """What a run of `TINY` leaves in its folder."""
    folder.mkdir()
    header = "timesteps,episode_return,real_over_distractor_ratio,real_on_top"
    RunFolder(folder).evaluations.write_text("\n".join([header, *rows, ""]))


@pytest.mark.parametrize(("kind", "kept"), [(DivergenceError, 4), (FloatingPointError, 0)])
def test_of_runs_that_were_stopped_only_those_that_diverged_leave_their_evaluations(
    monkeypatch, tmp_path, kind, kept
):
    def train_all(runs, *_, on_failed, **__):
        failures = {folder: kind("not finite") for folder in runs}
        for folder, error in failures.items():
            # The second is none of the study's.
            leave_evaluations(folder, "60,9.0,1.0,0", "64,8.0,1.0,0")
            on_failed(folder, runs[folder], error)
        return failures

    monkeypatch.setattr("mbrl_taskmet.cli.study.train_all", train_all)
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    status = main(["study", "tiny", "--results", str(tmp_path), "--variants", "mle"])
    assert status == (0 if kept else 1)
    assert [row["episode_return"] for row in TINY.read(tmp_path / "tiny.csv")] == kept * ["9.0"]


@pytest.fixture
def finish_all(monkeypatch):
    """Let every run of `TINY` finish at once."""

    def train_all(runs, *_, on_finished, **__):
        for folder, run in runs.items():
            leave_evaluations(folder, "60,9.0,1.0,0", "120,9.0,1.0,0")
            on_finished(folder, run)
        return {}

    monkeypatch.setattr("mbrl_taskmet.cli.study.train_all", train_all)
    monkeypatch.setitem(STUDIES, "tiny", TINY)


def test_what_cannot_be_added_to_the_results_is_set_aside(
    tmp_path, finish_all, monkeypatch, capsys
):
    """The results are damaged while a run trains."""
    path = tmp_path / "tiny.csv"
    append, damaged = Study.append, "what\n"

    def damage_and_append(study, path, rows):
        path.write_text(damaged)
        append(study, path, rows)

    monkeypatch.setattr(Study, "append", damage_and_append)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["study", "tiny", "--results", str(tmp_path), "--seeds", "0"]) == 2
    complaint = " ".join(capsys.readouterr().err.split())
    assert path.read_text() == damaged
    (aside,) = tmp_path.glob("tiny-*.csv")
    assert f"its lines are in {aside}" in complaint
    aside.replace(path)
    assert [row["episode_return"] for row in TINY.read(path)] == ["9.0", "9.0"]


def test_a_study_elsewhere_than_in_the_repository_asks_for_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["study", "first_light"]) == 2
    assert "choose another folder with --results" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_results_outlast_a_picture_that_cannot_be_drawn(tmp_path, finish_all, capsys):
    (tmp_path / "tiny.png").mkdir()
    assert main(["study", "tiny", "--results", str(tmp_path)]) == 2
    assert "tiny.png cannot be written" in capsys.readouterr().err
    assert not TINY.missing(TINY.read(tmp_path / "tiny.csv"))


def test_what_is_shown_does_not_depend_on_what_was_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    TINY.append(tmp_path / "tiny.csv", [list(row.values()) for row in rows_of(TINY)])
    shown = []
    for options in ([], ["--variants", "taskmet"]):
        assert main(["study", "tiny", "--results", str(tmp_path), *options]) == 0
        shown.append((capsys.readouterr().out, (tmp_path / "tiny.png").read_bytes()))
    assert shown[0] == shown[1]


def test_a_figure_of_nothing_is_refused(tmp_path, capsys):
    assert main(["study", "first_light", "--figure", "--results", str(tmp_path)]) == 2
    assert "There are no results in" in capsys.readouterr().err


def chosen(**wanted):
    """The runs of these values, as (variant, kind, k, seed, environment)."""
    study = replace(
        TINY,
        columns=(*TINY.columns, "distractor_kind", "env"),
        environments=[
            EnvironmentConfig(env, num_distractors=k, kind=kind)
            for env in ("mbrl_taskmet/NoisyCartPole-v0", "Pendulum-v1")
            for k in (2, 3)
            for kind in ("gaussian", "sinusoid")
        ],
    )
    runs = [(variant, run.environment, run.seed) for variant, run in study.chosen(wanted)]
    return {(name, e.kind, e.num_distractors, seed, e.base) for name, e, seed in runs}


def test_a_study_can_be_done_in_parts():
    everything = chosen()
    assert len(everything) == 32
    assert chosen(variant=("mle",)) == {run for run in everything if run[0] == "mle"}
    assert chosen(distractor_kind=("sinusoid",)) == {r for r in everything if r[1] == "sinusoid"}
    assert chosen(num_distractors=(3,)) == {run for run in everything if run[2] == 3}
    assert chosen(env=("CartPole-v1",)) == {run for run in everything if run[4] == "CartPole-v1"}
    assert chosen(seed=(1,), num_distractors=(2,)) == {r for r in everything if r[2:4] == (2, 1)}


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--variants mlee", "no variant 'mlee': choose one of mle, taskmet. Did you mean 'mle'"),
        ("--envs Pendulum-v1", "no environment 'Pendulum-v1': choose one of CartPole-v1"),
        ("--num-distractors 7", "no number of distractors 7: choose one of 2"),
        ("--variants", "No variant is chosen: choose at least one of mle, taskmet"),
        ("--kinds redundant", "no kind of distractor 'redundant': choose one of gaussian"),
        ("--problems cubic", "has no --problems: choose by --variants, --envs, --num-distractors"),
    ],
)
def test_a_part_that_a_study_does_not_have_is_refused(
    option, complaint, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    assert main(["study", "tiny", "--results", str(tmp_path), *option.split()]) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())


def test_a_choice_that_leaves_no_run_is_refused():
    environments = [EnvironmentConfig(num_distractors=2), EnvironmentConfig("Pendulum-v1", 3)]
    study = replace(TINY, environments=environments, columns=(*TINY.columns, "env"))
    with pytest.raises(ValueError, match="No run of the study tiny is all of this"):
        study.chosen({"env": ("Pendulum-v1",), "num_distractors": (2,)})


@pytest.mark.parametrize("name", ["oracles", "published_oracles"])
def test_told_agents_know_the_real_dimensions_and_no_others(name):
    study = STUDIES[name]
    for variant, run in study.runs():
        if not variant.startswith("true metric") and variant != "true gates":
            continue
        k, known = run.environment.num_distractors, run.hyperparameters.relevance
        assert run.hyperparameters.normalize_observations == (name == "oracles")
        given = known if isinstance(known, Given) else known.relevance
        # The prior of a metric is the square of its gates.
        closed = {"true metric": 0.01, "true metric, 30 to 1": 30**-0.5}.get(variant, 0.0)
        assert given.given == (1.0,) * 4 + (closed,) * k
        mask = run.environment.make(1, 0).get_attr("distractor_mask")[0]
        assert [gate < 1 for gate in given.given] == list(mask)


def test_panels_tell_environments_apart():
    study = replace(
        TINY,
        columns=(*TINY.columns, "distractor_kind"),
        environments=[
            EnvironmentConfig(num_distractors=2, kind=kind) for kind in ("gaussian", "sinusoid")
        ],
        panel=("distractor_kind", "num_distractors"),
    )
    groups = curves(study, list(rows_of(study)))
    assert {(group.panel, len(group.returns)) for group in groups} == {
        ("gaussian, 2", 2),
        ("sinusoid, 2", 2),
    }


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(("name", "env"), [("dqn", "CartPole-v1"), ("sac", "Pendulum-v1")])
def test_baselines_take_part_in_a_study_without_what_only_a_model_has(
    tmp_path, name, env, normalize
):
    study = replace(
        TINY,
        variants={name: partial(BaselineRun, agent_name=name, normalize_observations=normalize)},
        environments=[EnvironmentConfig(env, num_distractors=2)],
        seeds=(0,),
    )
    ((variant, run),) = study.runs()
    run.train(tmp_path / "run", lambda *report: None)
    rows = study.rows(variant, run, tmp_path / "run")
    table = [dict(zip(study.columns, row, strict=True)) for row in rows]
    assert [int(row["timesteps"]) for row in table] == [60, 120]
    assert all(math.isfinite(float(row["episode_return"])) for row in table)
    assert {row["real_over_distractor_ratio"] for row in table} == {""}


@pytest.mark.parametrize("env", ["Pendulum-v1", "InvertedPendulum-v5"])
def test_a_matched_baseline_learns_at_the_rates_of_our_agents(tmp_path, monkeypatch, env):
    make = Mock(side_effect=InterruptedError)
    monkeypatch.setitem(BASELINES, "sac", make)
    run = sac_matched(environment=EnvironmentConfig(env, num_distractors=1))
    with pytest.raises(InterruptedError):
        run.train(tmp_path / "run", lambda *report: None)
    ours = MLEConfig()
    assert make.call_args.kwargs["learning_rate"] == ours.learning_rate
    assert make.call_args.kwargs["tau"] == ours.tau


def test_evaluations_of_a_normalised_baseline_do_not_move_its_moments(tmp_path, monkeypatch):
    """The last one, at the end of training, leaves those of training."""
    normalized = []

    def make(env, **options):
        normalized.append(VecNormalize(env, **options))
        return normalized[-1]

    monkeypatch.setattr(baselines, "VecNormalize", make)
    at_once = 256  # steps, until the agent first learns
    run = dqn_normalized(
        environment=EnvironmentConfig(num_distractors=2), timesteps=at_once, seed=0, eval_every=64
    )
    run.train(tmp_path / "run", lambda *report: None)
    training, evaluation = (env.obs_rms for env in normalized)
    assert training.count == pytest.approx(at_once + 1, abs=0.1)  # the first observation too
    assert evaluation.count == training.count
    assert (evaluation.mean == training.mean).all()
    assert (evaluation.var == training.var).all()


def test_an_unknown_study_is_refused_with_the_nearest_name(capsys):
    assert main(["study", "first_ligth"]) == 2
    assert "Did you mean 'first_light'?" in capsys.readouterr().err


def test_tuning_seeds_do_not_get_among_reported_results(capsys, tmp_path, monkeypatch):
    """In a copy of the repository too, whichever the package was installed from."""
    monkeypatch.chdir(tmp_path)
    assert main(["study", "first_light", "--seeds", "0", "100"]) == 2
    assert "Only seeds 0 to 9 are reported" in capsys.readouterr().err


def test_tuning_seeds_are_refused_among_reported_results_from_wherever(
    capsys, tmp_path, monkeypatch
):
    reported = tmp_path / "link"
    reported.symlink_to(RESULTS)
    monkeypatch.chdir(tmp_path)
    assert main(["study", "first_light", "--seeds", "100", "--results", str(reported)]) == 2
    assert "Only seeds 0 to 9 are reported" in capsys.readouterr().err


def test_a_place_that_cannot_hold_results_is_refused_before_anything_is_trained(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    monkeypatch.setattr("mbrl_taskmet.cli.study.train_all", lambda *_: pytest.fail("it trains"))
    (tmp_path / "file").touch()
    assert main(["study", "tiny", "--results", str(tmp_path / "file" / "below")]) == 2
    assert "choose another folder with --results." in capsys.readouterr().err


def test_runs_are_named_by_what_tells_them_apart():
    assert TINY.names(list(TINY.runs())) == ["mle-0", "taskmet-0", "mle-1", "taskmet-1"]
    assert TINY.names(list(TINY.runs())[:1]) == ["mle"]
    for study in STUDIES.values():
        names = study.names(list(study.runs()))
        assert len(set(names)) == len(names)
        assert not any("/" in name for name in names)
    sinusoids = replace(
        TINY,
        environments=[EnvironmentConfig(kind=kind) for kind in ("gaussian", "sinusoid")],
        columns=(*TINY.columns, "distractor_kind"),
    )
    assert sinusoids.names(list(sinusoids.runs()))[-1] == "taskmet-1-sinusoid"

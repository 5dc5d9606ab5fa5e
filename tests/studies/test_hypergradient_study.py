"""The study of estimators measures what it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from mbrl_taskmet.agents import MLEConfig, TaskMetConfig
from mbrl_taskmet.hypergradient import ImplicitGradient
from mbrl_taskmet.linear_solvers import ConjugateGradient
from mbrl_taskmet.runs.environments import EnvironmentConfig
from mbrl_taskmet.studies import hypergradient
from mbrl_taskmet.studies.estimators import ESTIMATORS, Estimator, ask
from mbrl_taskmet.studies.hypergradient import HYPERGRADIENT, measured

SMALL = {"learning_starts": 40, "batch_size": 8, "critic_hidden": (4,), "model_hidden": (4,)}
TINY = replace(
    HYPERGRADIENT,
    variants={"mle": measured(MLEConfig(**SMALL)), "taskmet": measured(TaskMetConfig(**SMALL))},
    environments=[EnvironmentConfig(num_distractors=3)],
    timesteps=80,
    eval_every=40,
    seeds=(0,),
)


@pytest.fixture
def few(monkeypatch):
    """Few estimates on small batches."""
    for name in ("BATCH_SIZE", "ESTIMATES", "REFERENCE_BATCH_SIZE", "REFERENCES"):
        monkeypatch.setattr(hypergradient, name, 4)


@pytest.fixture
def agent():
    """One that has learned a little."""
    environment = EnvironmentConfig(num_distractors=3)
    run = measured(TaskMetConfig(**SMALL))(
        environment=environment, timesteps=80, seed=0, eval_every=40
    )
    return run.make_agent().learn(80)


def test_each_stage_asks_each_estimator(few, tmp_path):
    for variant, run in TINY.runs():
        run.train(tmp_path / variant, lambda *report: None)
        rows = TINY.rows(variant, run, tmp_path / variant)
        table = [dict(zip(TINY.columns, row, strict=True)) for row in rows]
        asked = [(int(row["timesteps"]), row["estimator"]) for row in table]
        assert asked == [(stage, name) for stage in (40, 80) for name in ESTIMATORS]
        later = [row for row in table if row["timesteps"] == "80"]
        assert all(-1 <= float(row["cosine"]) <= 1 for row in later)
        assert all(0 <= float(row["ranking_auc"]) <= 1 for row in later)
        TINY.append(tmp_path / "tiny.csv", rows)
    results = TINY.read(tmp_path / "tiny.csv")
    assert TINY.missing(results) == []
    Console(width=200).print(TINY.show(results))
    TINY.picture(results, tmp_path / "tiny.png")
    assert (tmp_path / "tiny.png").stat().st_size > 1_000
    with pytest.raises(ValueError, match="'guess' as estimator"):
        TINY.check(results[0] | {"estimator": "guess"})


def test_asking_changes_nothing(few, agent):
    state, sampling = agent.learner.state, agent.learner.generator.get_state()
    for estimator in ESTIMATORS.values():
        ask(agent, estimator, 2, 4, torch.Generator())
    assert agent.learner.state is state
    assert torch.equal(agent.learner.generator.get_state(), sampling)


def test_a_gain_is_what_the_metric_would_step_along(agent):
    estimator = Estimator(ImplicitGradient(ConjugateGradient(3)), same_batch=True)
    (gain,) = ask(agent, estimator, 1, 32, torch.Generator().manual_seed(5))
    batch, _ = agent.replay_buffer.sample_batches(32, 2, torch.Generator().manual_seed(5))
    update = replace(agent.learner.update, hypergradient=estimator.hypergradient)
    seen = update.look_at(agent.learner.state, batch)
    with torch.no_grad():
        after, _ = update.learn_from_task(agent.learner.state, seen, seen)
    np.testing.assert_allclose(gain, -10 * after.metric_moments.first_moment, rtol=1e-4)

"""The critic's step size over training."""

import csv
import warnings

import pytest
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from mbrl_taskmet.agents import MLE, TaskMet
from mbrl_taskmet.agents.schedules import LateFall


class Shares(BaseCallback):
    """Notes the share of the step size in force, and the progress, after each step."""

    def __init__(self):
        super().__init__()
        self.shares, self.steps = [], []

    def _on_step(self):
        self.shares.append(self.model.learner.state.annealing.item())
        self.steps.append(self.num_timesteps)
        return True


def shares(agent, timesteps, **options):
    noted = Shares()
    agent.learn(timesteps, callback=noted, **options)
    return dict(zip(noted.steps, noted.shares, strict=True))


@pytest.mark.parametrize("agent_class", [MLE, TaskMet])
def test_the_rate_falls_linearly_to_what_is_to_be_left(make_agent, agent_class):
    falling = {"learning_rate_decay": 0.8, "learning_rate_decay_start": 0.4}
    found = shares(make_agent(agent_class, learning_starts=0, **falling), 1_000)
    # Renewed every hundred updates, after which the next step shows it.
    assert found[2] == found[302] == 1
    assert found[502] == pytest.approx(1 - 0.8 * 0.1 / 0.6, abs=1e-2)
    assert found[902] == pytest.approx(1 - 0.8 * 0.5 / 0.6, abs=1e-2)


def test_only_taskmets_rate_falls_if_nothing_is_said(make_agent):
    assert set(shares(make_agent(MLE, learning_starts=0), 500).values()) == {1.0}
    found = shares(make_agent(TaskMet, learning_starts=0), 500)
    assert found[302] == 1
    assert found[402] == pytest.approx(1 - 0.95 / 3, abs=1e-2)


def test_training_that_goes_on_goes_on_from_the_progress_it_has_made(make_agent):
    falling = {"learning_rate_decay": 1.0, "learning_rate_decay_start": 0.0}
    agent = make_agent(MLE, learning_starts=0, **falling)
    agent.learn(500)
    found = shares(agent, 500, reset_num_timesteps=False)
    assert found[502] == pytest.approx(0.5, abs=1e-2)


def test_the_rate_falls_no_further_where_more_steps_are_taken_than_were_asked_for(make_agent):
    assert LateFall(1e-3, 0.95, 0.7)(-0.5) == LateFall(1e-3, 0.95, 0.7)(0.0)
    falling = {"learning_rate_decay": 1.0, "learning_rate_decay_start": 0.0}
    agent = make_agent(MLE, train_freq=(4, "episode"), gradient_steps=100, **falling)
    found = shares(agent, 70)
    assert agent.num_timesteps > 75
    assert agent.learner.state.annealing.item() == 0
    assert min(found.values()) >= 0


def test_learning_anew_begins_at_the_whole_rate(make_agent):
    falling = {"learning_rate_decay": 1.0, "learning_rate_decay_start": 0.0}
    agent = make_agent(MLE, learning_starts=0, **falling)
    assert shares(agent, 350)[350] < 0.5
    assert shares(agent, 40)[1] == 1


def test_the_rate_is_logged_as_in_stable_baselines3(make_agent, tmp_path):
    falling = {"learning_rate_decay": 1.0, "learning_rate_decay_start": 0.0}
    agent = make_agent(MLE, learning_rate=0.01, **falling)
    agent.set_logger(configure(str(tmp_path), ["csv"]))
    agent.learn(200, log_interval=1)
    agent.logger.close()
    with (tmp_path / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        left = 1 - float(row["time/total_timesteps"]) / 200
        assert float(row["train/learning_rate"]) == pytest.approx(0.01 * left)


def test_training_in_pieces_is_warned_of_a_rate_that_has_fallen(make_agent, tmp_path):
    agent = make_agent(TaskMet)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.learn(60)
        agent.learn(60)  # anew
        make_agent(MLE).learn(60).learn(60, reset_num_timesteps=False)
        stopped = make_agent(TaskMet)
        stopped.learn(100, callback=lambda local, _: local["self"].num_timesteps < 60)
        stopped.learn(40, reset_num_timesteps=False)  # what was left
    with pytest.warns(UserWarning, match="pass learning_rate_decay=0 to train in pieces"):
        agent.learn(60, reset_num_timesteps=False)


def test_a_schedule_is_refused_with_what_there_is_instead(make_agent):
    with pytest.raises(ValueError, match="not a schedule: let it fall by learning_rate_decay"):
        make_agent(MLE, learning_rate=lambda progress: 1e-3 * progress)

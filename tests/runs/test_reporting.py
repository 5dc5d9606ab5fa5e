"""What training tells while it goes on."""

from unittest.mock import Mock

import pytest

from mbrl_taskmet import MLE
from mbrl_taskmet.runs.reporting import logging_to


def test_the_log_is_closed_also_of_training_that_fails(tmp_path):
    agent = MLE("MlpPolicy", "CartPole-v1")
    with pytest.raises(InterruptedError), logging_to(agent, tmp_path, ["csv"]):
        agent.learn(10, callback=Mock(side_effect=InterruptedError))
    (log,) = agent.logger.output_formats
    assert log.file.name == str(tmp_path / "progress.csv")
    assert log.file.closed

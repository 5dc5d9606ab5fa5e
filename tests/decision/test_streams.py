"""Random numbers for data and for models have nothing to do with each other."""

import torch

from mbrl_taskmet.decision import Cubic
from mbrl_taskmet.decision.streams import stream


def drawn(generator):
    return torch.rand(1_000, generator=generator)


def test_a_stream_is_known_by_its_seed_and_its_purpose():
    assert torch.equal(drawn(stream(0, "data")), drawn(stream(0, "data")))
    others = [stream(1, "data"), stream(0, "model"), torch.Generator().manual_seed(0)]
    for other in others:
        correlation = torch.corrcoef(torch.stack([drawn(stream(0, "data")), drawn(other)]))[0, 1]
        assert correlation.abs() < 0.1


def test_no_model_of_a_seed_draws_the_data_of_that_seed_again():
    features = Cubic(seed=0).split().train.features.flatten()[:1_000]
    for generator in (stream(0, "model"), torch.Generator().manual_seed(0)):
        assert not torch.isclose(2 * drawn(generator) - 1, features).any()

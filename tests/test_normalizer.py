"""x ↦ (x − mean) / std, and no further than ten."""

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from cases import assert_close, draws
from mbrl_taskmet.normalizer import identity_like, standardizer


def test_observations_are_normalised_and_cut_as_vec_normalize_does():
    mean, std = draws(0)(4), 1 + draws(1)(4).abs()
    env = VecNormalize(DummyVecEnv([lambda: gym.make("CartPole-v1")]), epsilon=0.0)
    env.obs_rms.mean, env.obs_rms.var = mean.numpy(), std.square().numpy()
    observations = draws(2)(200, 4) * torch.tensor([1.0, 8.0, 1e3, 1e30])
    found = standardizer(mean, std)(observations)
    assert found.abs().max() == 10
    np.testing.assert_allclose(found, env.normalize_obs(observations.numpy()), rtol=1e-6)


def test_the_identity_cuts_nothing():
    observations = 1e30 * draws(0)(20, 3)
    assert_close(identity_like(observations, 3)(observations), observations)

"""Environments that tests of several kinds share."""

import gymnasium as gym
import numpy as np


class BrokenPromise(gym.Env):
    """After some steps it returns another observation than its space says."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, observation, after):
        self.observation, self.after, self.steps = observation, after, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def step(self, action):
        self.steps += 1
        return self.observe(), 0.0, False, False, {}

    def observe(self):
        return self.observation if self.steps >= self.after else np.zeros(3, np.float32)

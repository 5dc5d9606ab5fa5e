"""Train TaskMet on an environment of one's own, with four dimensions that do not matter."""

import gymnasium as gym
import numpy as np
import torch

from mbrl_taskmet import TaskMet
from mbrl_taskmet.envs import DistractorWrapper


class Hover(gym.Env):
    """Keep a ball near height zero by pushing it down, not at all, or up."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(3)
    dimension_names = ("height", "speed")

    def reset(self, *, seed=None, options=None):
        """Start at a random height and speed."""
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 2)
        return self.state.astype(np.float32), {}

    def step(self, action):
        """Push; the reward is highest at rest in the middle."""
        height, speed = self.state
        speed += 0.1 * (action - 1)
        self.state = np.array([height + 0.1 * speed, speed])
        reward = float(np.exp(-(height**2) - speed**2))
        return self.state.astype(np.float32), reward, False, False, {}


env = gym.wrappers.TimeLimit(Hover(), max_episode_steps=100)
env = DistractorWrapper(env, num_distractors=4)

torch.set_num_threads(1)
agent = TaskMet("MlpPolicy", env, seed=0)
agent.learn(total_timesteps=20_000)
print(agent.metric_weights())

"""Which environments the agents can learn, said in one sentence where they cannot."""

from typing import Any

from gymnasium import spaces


def check_spaces(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """Refuse what the agents cannot learn.

    Raises:
        ValueError: naming the space and the wrapper that would help.
    """
    if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
        raise ValueError(
            f"The observation space {observation_space} is not a flat Box: wrap the environment "
            "in gymnasium.wrappers.FlattenObservation."
        )
    if observation_space.shape[0] == 0:
        raise ValueError("The observation space has no dimensions: there is nothing to learn.")
    if not isinstance(action_space, spaces.Discrete):
        raise ValueError(
            f"The action space {action_space} is not Discrete: offer a finite set of actions "
            "through gymnasium.wrappers.TransformAction."
        )

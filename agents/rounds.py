"""Rounds of steps and updates, as Stable-Baselines3's `train_freq` and `gradient_steps` say."""

from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.vec_env import VecEnv

from ..arguments import is_whole


def check_rounds(train_freq: TrainFreq, gradient_steps: int) -> None:
    """Refuse rounds that Stable-Baselines3 would stop at while learning.

    Args:
        train_freq: steps or episodes between two rounds of updates.
        gradient_steps: updates in a round; −1 for as many as steps.

    Raises:
        ValueError: if a round has no step, or its updates cannot be counted.
    """
    if not is_whole(gradient_steps) or gradient_steps < -1:
        raise ValueError(
            "gradient_steps must be a whole number of updates, or -1 for as many as steps; got "
            f"{gradient_steps!r}."
        )
    if train_freq.frequency < 1:
        raise ValueError(
            f"train_freq must be at least 1; got {train_freq.frequency}: collect one step or "
            "episode or more between two rounds of updates."
        )


def check_episodes(train_freq: TrainFreq, n_envs: int) -> None:
    """Refuse rounds that end with episodes of several environments, which end apart.

    Raises:
        ValueError: if they do.
    """
    if train_freq.unit == TrainFrequencyUnit.EPISODE and n_envs > 1:
        raise ValueError(
            f"train_freq counts episodes of one environment; got {n_envs}: give it in steps."
        )


def fewest_updates(steps: int, train_freq: TrainFreq, gradient_steps: int, env: VecEnv) -> int:
    """How many updates come with so many steps, if all episodes are as long as they can be.

    Args:
        steps: of all environments together.
        train_freq: steps or episodes between two rounds of updates.
        gradient_steps: updates in a round; negative for as many as steps.
        env: the environments.
    """
    if gradient_steps < 0:
        return steps
    longest = 1 if train_freq.unit == TrainFrequencyUnit.STEP else _longest_episode(env, steps)
    return steps // (env.num_envs * train_freq.frequency * longest) * gradient_steps


def _longest_episode(env: VecEnv, steps: int) -> int:
    """Steps that an episode takes at most: all of them if nothing bounds it."""
    spec = env.get_attr("spec")[0] if env.has_attr("spec") else None
    return getattr(spec, "max_episode_steps", None) or max(steps, 1)

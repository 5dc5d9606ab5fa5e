"""Noisy environments by id."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from ..reason import reason
from ..suggestion import did_you_mean
from .process import DistractorProcess, FloatArray
from .wrapper import DistractorWrapper

# Each id, and the environment that gets the distractors.
NOISY_IDS = {
    "mbrl_taskmet/NoisyCartPole-v0": "CartPole-v1",
    "mbrl_taskmet/NoisyAcrobot-v0": "Acrobot-v1",
    "mbrl_taskmet/NoisyPendulum-v0": "Pendulum-v1",
    "mbrl_taskmet/NoisyInvertedPendulum-v0": "InvertedPendulum-v5",
    "mbrl_taskmet/NoisyHopper-v0": "Hopper-v5",
    "mbrl_taskmet/NoisyHalfCheetah-v0": "HalfCheetah-v5",
}


def register_noisy_ids() -> None:
    """Register `NOISY_IDS`, with the time limits and reward thresholds of their bases."""
    for noisy_id, base_id in NOISY_IDS.items():
        base = gym.spec(base_id)
        gym.register(
            noisy_id,
            entry_point=f"{__name__}:make_registered",
            kwargs={"base_id": base_id},
            max_episode_steps=base.max_episode_steps,
            reward_threshold=base.reward_threshold,
        )


def make_registered(
    base_id: str,
    num_distractors: int = 16,
    *,
    render_mode: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    **distractors: Any,
) -> DistractorWrapper:
    """Entry point of the registered ids.

    Args:
        base_id: the environment that gets the distractors.
        num_distractors: number of distractor dimensions.
        render_mode: as in `gymnasium.make`.
        env_kwargs: further arguments of the base, such as `{"g": 9.81}` of the pendulum.
        **distractors: other arguments of `DistractorWrapper`.

    Returns:
        The environment, without a time limit or checks: `gymnasium.make` adds those of the
        noisy id.

    Raises:
        TypeError: as `DistractorWrapper`.
        ValueError: as `DistractorWrapper`, and if the base's constructor fails.
    """
    base = _make_base(
        base_id, render_mode, env_kwargs or {}, max_episode_steps=-1, disable_env_checker=True
    )
    return DistractorWrapper(base, num_distractors, **distractors)


def make_noisy(
    env_id: str,
    num_distractors: int,
    kind: str | DistractorProcess[Any] = "gaussian",
    noise_std: float = 1.0,
    permute: bool = False,
    layout_seed: int = 0,
    *,
    render_mode: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> DistractorWrapper:
    """Make any registered environment and add distractors.

    Args:
        env_id: a registered id, such as `"Acrobot-v1"`.
        num_distractors: number of distractor dimensions.
        kind: as for `DistractorWrapper`, like the four arguments around it.
        noise_std: scale of the distractors.
        permute: whether to scatter the distractors among the real dimensions.
        layout_seed: seed of all that is fixed about the distractors.
        render_mode: as in `gymnasium.make`.
        env_kwargs: further arguments of the environment.
        **parameters: the kind's own parameters, such as `autocorrelation=0.95`.

    Returns:
        The environment with its distractors.

    Raises:
        TypeError: as `DistractorWrapper`.
        ValueError: as `DistractorWrapper`, and if no environment has this id, or its
            constructor fails.

    Example:
        >>> env = make_noisy("Acrobot-v1", 16, "autoregressive", autocorrelation=0.9)
        >>> env.observation_space.shape
        (22,)
    """
    env = _make_base(env_id, render_mode, env_kwargs or {})
    return DistractorWrapper(
        env, num_distractors, kind, noise_std, permute, layout_seed, **parameters
    )


def _make_base(
    env_id: str, render_mode: str | None, env_kwargs: Mapping[str, Any], **settings: Any
) -> gym.Env[FloatArray, Any]:
    """Make what gets the distractors, or say in a sentence why it cannot be made."""
    arguments = {**settings, **env_kwargs}
    if render_mode is not None:  # which an environment need not know of
        arguments["render_mode"] = render_mode
    try:
        return gym.make(env_id, **arguments)
    except (gym.error.UnregisteredEnv, gym.error.DeprecatedEnv) as error:
        module, _, name = env_id.rpartition(":")
        by = f" by {module}" if module else ""
        raise ValueError(
            f"No environment is registered{by} as {name!r}.{did_you_mean(name, gym.registry)}"
        ) from error
    except (gym.error.Error, ImportError, MemoryError):
        raise  # which say what is missing
    except Exception as error:  # whatever a constructor may raise
        needs = "register an id with the arguments that it needs"
        raise ValueError(
            f"{env_id} cannot be made ({type(error).__name__}: {reason(error)}): repair its "
            f"constructor, or {'correct env_kwargs' if env_kwargs else needs}."
        ) from error

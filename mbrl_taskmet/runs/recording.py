"""An episode of a trained agent as a film."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from gymnasium.wrappers import RecordVideo

from mbrl_taskmet.agents import ModelBasedAlgorithm
from mbrl_taskmet.reason import reason
from mbrl_taskmet.runs.environments import EnvironmentConfig


class RecordingError(ValueError):
    """An environment that cannot be filmed, said in one sentence."""


def record_episode(
    agent: ModelBasedAlgorithm, environment: EnvironmentConfig, seed: int, path: Path
) -> None:
    """Film one episode of the greedy agent, without a display.

    Args:
        agent: acts.
        environment: in which it acts.
        seed: of the episode; the same seed shows the same episode.
        path: of the film, an MP4 file; an earlier one is replaced.

    Raises:
        RecordingError: if the environment cannot be rendered here, or a package for it is missing.
        OSError: if the file cannot be written.
    """
    # Elsewhere first, since `RecordVideo` chooses its own file name and warns of existing folders.
    with tempfile.TemporaryDirectory() as scratch:
        env = _camera(environment, Path(scratch) / "film")
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            action, _ = agent.predict(observation, deterministic=True)
            observation, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
        env.close()  # type: ignore[no-untyped-call]  # which writes the file
        (film,) = (Path(scratch) / "film").iterdir()
        shutil.move(film, path)


def check_filmable(environment: EnvironmentConfig) -> None:
    """Refuse an environment that offers no pictures, whatever is installed.

    Raises:
        RecordingError: if it does not.
    """
    env = environment.make_one()
    modes = env.metadata.get("render_modes") or ()
    env.close()
    if "rgb_array" not in modes:
        raise RecordingError(
            f'{environment.env} offers no render_mode "rgb_array": add one, or leave out --video.'
        )


def _camera(environment: EnvironmentConfig, folder: Path) -> RecordVideo:
    """The environment, recorded from its next reset on."""
    _render_without_display()
    try:
        env = environment.make_one(render_mode="rgb_array")
        env.reset()
        env.render()  # at once, so that what is missing shows before an episode is played
        return RecordVideo(env, str(folder), episode_trigger=lambda episode: True)
    except Exception as error:  # each renderer fails in ways of its own
        raise RecordingError(
            f"{environment.env} cannot be filmed here ({reason(error)}): install what it takes "
            "with pip install 'mbrl-taskmet[video]', and for MuJoCo without a display the system's "
            "libraries for MUJOCO_GL=egl or MUJOCO_GL=osmesa."
        ) from error


def _render_without_display() -> None:
    """Choose renderers that need no display where there is none, unless others are set.

    For MuJoCo Gymnasium would take the first that can be imported, which is the one that needs a
    display, and pygame complains of not finding one.
    """
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        for variable, renderer in (("MUJOCO_GL", "egl"), ("SDL_VIDEODRIVER", "dummy")):
            os.environ[variable] = os.environ.get(variable) or renderer

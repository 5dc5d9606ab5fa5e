"""The command line: `mbrl-taskmet train | evaluate | weights | decision | study | benchmark`."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any, Protocol, Union

import gymnasium as gym
import tyro
from rich.console import Console

from mbrl_taskmet import __version__
from mbrl_taskmet.agents import AGENTS
from mbrl_taskmet.cli.benchmark import Benchmark
from mbrl_taskmet.cli.decision import Decision
from mbrl_taskmet.cli.evaluate import Evaluate
from mbrl_taskmet.cli.study import StudyCommand
from mbrl_taskmet.cli.train import train_command
from mbrl_taskmet.cli.weights import Weights
from mbrl_taskmet.reason import reason
from mbrl_taskmet.suggestion import check_choice


class Command(Protocol):
    """What a sub-command's options do."""

    def run(self, console: Console) -> int:
        """Do it, and return the exit status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: in place of the process's own.

    Returns:
        The exit status: 0, 1 if a run failed and left no result, 2 if the input was refused, 130 or
        143 if it was interrupted or terminated.
    """
    if arguments is None:  # a process of its own, which schedulers end this way
        signal.signal(signal.SIGTERM, _interrupt)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        print(f"mbrl-taskmet {__version__}")
        return 0
    try:
        _check_agent(arguments)
        commands: Any = Union[  # noqa: UP007  (its members are made at run time)
            tuple(
                Annotated[command, tyro.conf.subcommand(name)]
                for name, command in {
                    "train": train_command(arguments),
                    "evaluate": Evaluate,
                    "weights": Weights,
                    "decision": Decision,
                    "study": StudyCommand,
                    "benchmark": Benchmark,
                }.items()
            )
        ]
        command: Command = tyro.cli(
            commands,
            prog="mbrl-taskmet",
            description="Model-based reinforcement learning with task-driven metrics.",
            args=arguments,
            config=(
                tyro.conf.CascadeSubcommandArgs,
                tyro.conf.OmitArgPrefixes,
                tyro.conf.SuppressFixed,  # what is an object is chosen in Python
            ),
        )
        return command.run(Console())
    except ModuleNotFoundError as error:  # of `--env module:id`, to which Gymnasium adds a sentence
        missing = str(error).partition(". ")[0]
        print(
            f"mbrl-taskmet: {missing}: install it, or name its folder in PYTHONPATH.",
            file=sys.stderr,
        )
        return 2
    except (ValueError, OSError, ImportError, gym.error.Error) as error:
        print(f"mbrl-taskmet: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"mbrl-taskmet: {error or 'out of memory'}: ask for less.", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if "allocate" not in str(error):  # as torch says of memory
            raise
        print(f"mbrl-taskmet: out of memory ({reason(error)}): ask for less.", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"mbrl-taskmet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print("mbrl-taskmet: interrupted; what was written stays.", file=sys.stderr)
        return 128 + next(iter(interrupt.args), signal.SIGINT)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End as after Ctrl-C, so that processes and temporary files go too."""
    raise KeyboardInterrupt(number)


def _check_agent(arguments: Sequence[str]) -> None:
    """Refuse an unknown agent with the nearest name."""
    if len(arguments) > 1 and arguments[0] == "train":
        name = arguments[1]
        if not name.startswith("-"):
            check_choice("agent", name, AGENTS)


if __name__ == "__main__":
    sys.exit(main())

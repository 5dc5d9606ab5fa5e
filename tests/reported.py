"""Where what is reported lies."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "studies" / "results"

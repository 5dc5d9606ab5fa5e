"""Variants that several studies compare."""

from dataclasses import fields

from ..agents import MLEConfig, TaskMetConfig


def without_hypergradient(config: TaskMetConfig) -> MLEConfig:
    """Maximum likelihood through the same gates, under the prior alone, and alike in all else."""
    return MLEConfig(**{f.name: getattr(config, f.name) for f in fields(MLEConfig)})

"""The learners: Stable-Baselines3 algorithms."""

"""Model-based reinforcement learning whose dynamics model learns what matters for the task."""

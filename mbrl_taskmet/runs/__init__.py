"""Training runs: how each is made, the folder that it leaves, and many side by side."""

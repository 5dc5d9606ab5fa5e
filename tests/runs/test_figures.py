"""Pictures of weights show all that they are of."""

import numpy as np
from matplotlib.figure import Figure

from mbrl_taskmet.agents import MetricWeights
from mbrl_taskmet.runs.figures import draw_weights


def test_boxes_are_drawn_to_their_ends(tmp_path, monkeypatch):
    """A distribution over transitions reaches far beyond its mean, which is the bar."""
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *a, **o: drawn.append(f) or save(f, *a, **o))
    mean = np.array([1.0, 2.0])
    quantiles = np.outer([0.1, 0.5, 0.9, 2.0, 9.0], mean)
    found = MetricWeights(("a", "b"), mean, quantiles=quantiles)
    draw_weights(["a", "b"], np.arange(3.0), np.ones((3, 2)), tmp_path / "w.png", found=found)
    left, right = drawn[0].axes[0].get_xlim()
    assert left == 0
    assert right >= quantiles.max()
    assert (tmp_path / "w.png").exists()

"""Decision-focused learning: predictors trained for the decisions that are taken by them.

The metric, its hypergradient and the networks are those of the agents; here are problems whose
decisions can be differentiated, the methods that they are compared by, and `BilevelTrainer`, which
trains any predictor for any task loss.
"""

from mbrl_taskmet.decision.bilevel import BilevelTrainer, Task, TaskMetFit
from mbrl_taskmet.decision.bounded import Bounded, within_range
from mbrl_taskmet.decision.budget import Budget
from mbrl_taskmet.decision.cubic import Cubic
from mbrl_taskmet.decision.fitting import AdamFit, ClosedForm, Descent, Fit
from mbrl_taskmet.decision.lodl import LODL
from mbrl_taskmet.decision.methods import DFL, MSE, Method, predict
from mbrl_taskmet.decision.portfolio import Portfolio
from mbrl_taskmet.decision.problem import Data, Problem, Split, loss_of
from mbrl_taskmet.decision.quality import (
    Quality,
    Yardstick,
    constant_prediction,
    evaluate,
    measure,
    normalized_decision_quality,
)
from mbrl_taskmet.decision.rows import OverItems, PerItem
from mbrl_taskmet.decision.simplex_qp import simplex_qp
from mbrl_taskmet.decision.subsets import soft_choice
from mbrl_taskmet.decision.taskmet import TaskMet
from mbrl_taskmet.decision.top_k import soft_top_k

__all__ = [
    "DFL",
    "LODL",
    "MSE",
    "AdamFit",
    "BilevelTrainer",
    "Bounded",
    "Budget",
    "ClosedForm",
    "Cubic",
    "Data",
    "Descent",
    "Fit",
    "Method",
    "OverItems",
    "PerItem",
    "Portfolio",
    "Problem",
    "Quality",
    "Split",
    "Task",
    "TaskMet",
    "TaskMetFit",
    "Yardstick",
    "constant_prediction",
    "evaluate",
    "loss_of",
    "measure",
    "normalized_decision_quality",
    "predict",
    "simplex_qp",
    "soft_choice",
    "soft_top_k",
    "within_range",
]

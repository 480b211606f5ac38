"""Training as pure functions, on data that lives on the device."""

from cnnlab.training.evaluation import Predictor, Score, evaluate, predictor, score
from cnnlab.training.keys import key_for
from cnnlab.training.load import Loaded, NetConfig, load
from cnnlab.training.optimizer import optimizer_of, with_learning_rate
from cnnlab.training.recipes import Recipe, recipes
from cnnlab.training.resident import (
    Resident,
    Scaling,
    epoch_order,
    resident,
    scaling_of,
    unit_scaling,
    validation_split,
)
from cnnlab.training.state import Totals, TrainState, init
from cnnlab.training.step import Method, train_step

__all__ = [
    "Loaded",
    "Method",
    "NetConfig",
    "Predictor",
    "Recipe",
    "Resident",
    "Scaling",
    "Score",
    "Totals",
    "TrainState",
    "epoch_order",
    "evaluate",
    "init",
    "key_for",
    "load",
    "optimizer_of",
    "predictor",
    "recipes",
    "resident",
    "scaling_of",
    "score",
    "train_step",
    "unit_scaling",
    "validation_split",
    "with_learning_rate",
]

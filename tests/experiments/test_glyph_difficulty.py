"""How hard the built-in images are."""

import pytest

from experiments.pooling_comparison import Config, run

pytestmark = pytest.mark.slow


def test_the_default_comparison_is_neither_hopeless_nor_saturated(tmp_path):
    config = Config(
        seeds=1, learning_rates=(0.3,), workdir=str(tmp_path / "run"), progress="none"
    )
    for arm in run(config)["arms"]:
        assert 0.80 <= arm["test_accuracy"]["mean"] <= 0.97, arm["spec"]


def test_ten_times_the_training_solves_them(tmp_path):
    config = Config(
        pools=("max_pool",),
        seeds=1,
        learning_rates=(0.1,),
        train_examples=40_000,
        workdir=str(tmp_path / "run"),
        progress="none",
    )
    assert run(config)["arms"][0]["test_accuracy"]["mean"] > 0.98

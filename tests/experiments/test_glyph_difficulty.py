"""How hard the built-in images are."""

import pytest

from experiments.pooling_comparison import Config, run

pytestmark = pytest.mark.slow


def accuracies(tmp_path, **changes):
    config = Config(
        seeds=1, workdir=str(tmp_path), progress="none", max_shift=0, reach=0, **changes
    )
    return [arm["test_accuracy"]["mean"] for arm in run(config)["arms"]]


def test_the_default_comparison_is_neither_hopeless_nor_saturated(tmp_path):
    (accuracy,) = accuracies(
        tmp_path / "run", pools=("max_pool",), learning_rates=(0.3,)
    )
    assert 0.80 <= accuracy <= 0.96

"""A finished run, for the tests of what can be done with one."""

import pytest
import small_training

from experiments.pooling_comparison import Config, run
from experiments.training.run_checkpoints import RunCheckpoints


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The directory and the results of a run of two arms and two seeds, barely trained.

    No test may change the directory.
    """
    workdir = tmp_path_factory.mktemp("finished") / "run"
    config = Config(
        pools=("max_pool", "lp_pool(p=3.0)"),
        image_size=16,
        train_examples=64,
        batch_size=32,
        seeds=2,
        epochs=1,
        learning_rates=(0.05,),
        validation_fraction=0.0,
        max_shift=0,
        reach=0,
        shift_examples=1,
        progress="none",
        workdir=str(workdir),
    )
    return workdir, run(config)


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """A folder in which small training runs keep what they compile."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def small(monkeypatch, programs):
    """Small training runs without what they have in common."""
    small_training.spare(monkeypatch, programs)


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory, programs):
    """The directory and results of a small training run that nothing stopped.

    No test may change the directory.
    """
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        small_training.spare(patch, programs)
        return workdir, small_training.run(workdir)


@pytest.fixture
def begun(tmp_path, small, monkeypatch):
    """The directory of a run with a checkpoint."""
    save = RunCheckpoints.save

    def save_and_end(self, *args):
        save(self, *args)
        small_training.interrupt()

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "save", save_and_end)
        with pytest.raises(KeyboardInterrupt):
            small_training.run(tmp_path / "run")
    return tmp_path / "run"

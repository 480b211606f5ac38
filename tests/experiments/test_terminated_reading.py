"""A training run that is terminated when all is trained and its nets are read back."""

import os
import signal

import pytest
import small_training

from cnnlab.training import checkpoint
from experiments.harness.preemption import Terminated
from experiments.training.run_checkpoints import RunCheckpoints


@pytest.mark.usefixtures("small")
def test_a_net_is_not_called_unreadable_as_its_reading_is_ended(
    tmp_path, monkeypatch, uninterrupted
):
    read_arrays = checkpoint.read_arrays

    def terminated(*args, **more):
        os.kill(os.getpid(), signal.SIGTERM)
        return read_arrays(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "read_arrays", terminated)
        with pytest.raises(Terminated):
            small_training.run(tmp_path / "run")
    results = small_training.run(tmp_path / "run")
    small_training.assert_same(tmp_path / "run", results, uninterrupted)


@pytest.mark.usefixtures("small")
def test_reading_trained_nets_ends_at_once(tmp_path, monkeypatch, uninterrupted):
    net, read = RunCheckpoints.net, []

    def terminated(self, *args):
        read.append(args)
        os.kill(os.getpid(), signal.SIGTERM)
        return net(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "net", terminated)
        with pytest.raises(Terminated):
            small_training.run(tmp_path / "run")
    assert len(read) == 1 < small_training.SMALL.seeds
    results = small_training.run(tmp_path / "run")
    # Every step had been stored.
    assert results["first_step_seconds"] is None
    small_training.assert_same(tmp_path / "run", results, uninterrupted)

"""What a training run writes for others' tools: profiler's traces, event files."""

import struct

import jax
import pytest
from small_training import interrupt, lines, refused, run

from cnnlab import training
from experiments.harness import event_files

pytestmark = pytest.mark.usefixtures("small")


def test_a_run_without_steps_to_make_traces_none(begun, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(training, "predictor", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(begun)
    run(begun, profile="5:100", progress="lines")
    told = capsys.readouterr().err
    assert told.count("--profile=5:100 w") == 1
    assert "--profile=5:100 writes nothing: the run goes on from step 11; " in told


@pytest.mark.parametrize("profile, missed", [("1:4", True), ("1:5", False)])
def test_a_trace_of_steps_that_are_made_is_missed(
    begun, capsys, monkeypatch, profile, missed
):
    traced = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: traced.append(4))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: traced.append("end"))
    run(begun, profile=profile, progress="lines")
    told = f"--profile={profile} writes nothing: the run goes on from step 4; "
    assert (told in capsys.readouterr().err) == missed
    assert traced == ([] if missed else [4, "end"])


def records(path):
    """The events of a file, by the package that others read them with."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    content, at = path.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        data = content[at + 12 : at + 12 + length]
        sums = [content[at + 8 : at + 12], content[at + 12 + length :][:4]]
        for part, sum_ in zip((content[at : at + 8], data), sums, strict=True):
            assert struct.pack("<I", masked_crc32c(part)) == sum_
        yield Event.FromString(data)
        at += 16 + length


def test_event_files_hold_the_lines_however_often_a_run_goes_on(
    begun, uninterrupted, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(training, "predictor", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(begun, tensorboard=True)
    run(begun, tensorboard=True)
    told = {}
    for path in (begun / "tensorboard").rglob("*tfevents*"):
        arm, seed, split = path.parent.relative_to(begun / "tensorboard").parts
        version, *events = records(path)
        assert version.file_version == "brain.Event:2"
        for event in events:
            (value,) = event.summary.value
            place = arm, seed, split, event.step, value.tag
            assert place not in told
            told[place] = value.simple_value
    wanted = {
        ("tiny", f"seed{line['seed']}", line["split"], line["step"], tag): line[tag]
        for line in lines(uninterrupted[0])
        for tag in ("loss", "accuracy", "learning_rate")
    }
    assert told == pytest.approx(wanted, rel=1e-6)


def test_event_files_need_their_package(tmp_path, monkeypatch):
    monkeypatch.setattr(event_files.importlib.util, "find_spec", lambda name: None)
    message = r"tensorboard: needs tensorboardX: pip install 'cnnlab\[tensorboard\]'"
    refused(tmp_path / "run", message, tensorboard=True)
    assert not (tmp_path / "run").exists()

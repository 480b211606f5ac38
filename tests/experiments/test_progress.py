import io
import itertools

import pytest
from rich.console import Console

from cnnlab.errors import UserError
from experiments.harness.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def drawn(progress, width):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(progress)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("arm", ["max_pool", "lp_pool(p=3.0, normalize=False)" * 3])
def test_the_bar_takes_two_lines_of_any_terminal(arm, width):
    progress = Progress("none", 123456)
    progress.run(arm=arm, seed=11, epochs=200, note="rate 0.0003")
    progress.update(4000, epoch=173, loss=12.345, accuracy=0.9876)
    lines = drawn(progress, width)
    assert len(lines) == 2
    assert max(map(len, lines)) <= width
    for part in ("seed 11", "epoch 173/200", "loss 12.345", "validation 98.8 %"):
        assert part in lines[0]
    assert "left" in lines[1]


def test_the_bar_shows_rate_time_taken_and_time_left():
    clock = Clock()
    progress = Progress("none", 40, clock=clock)
    assert "- steps/s" in drawn(progress, 80)[1]
    progress.run(arm="max_pool", seed=0, epochs=2)
    clock.now += 4
    progress.update(10, epoch=1, loss=1.0)
    assert drawn(progress, 80)[1].endswith("25 %  2.5 steps/s  0:00:04  0:00:12 left")


def test_what_has_no_epochs_shows_none():
    stream = io.StringIO()
    with Progress("lines", 2, stream) as progress:
        for arm in ("max_pool zero", "avg_pool zero"):
            progress.run(arm=arm, seed=None, epochs=0)
            assert drawn(progress, 80)[0] == arm
            progress.update(1)
            progress.log(f"{arm}: none")
    assert stream.getvalue() == "max_pool zero: none\navg_pool zero: none\n"


def test_a_wide_terminal_shows_the_arm_and_the_note_whole():
    progress = Progress("none", 10)
    progress.run(arm="lp_pool(p=3.0)", seed=0, epochs=2, note="rate 0.03")
    assert drawn(progress, 80)[0].startswith("lp_pool(p=3.0)  seed 0")
    assert drawn(progress, 80)[0].endswith("rate 0.03")


def test_a_bar_can_be_drawn_before_anything_is_known():
    assert len(drawn(Progress("none", 0), 60)) == 2
    progress = Progress("none", 10)
    progress.run(arm="max_pool", seed=0, epochs=1)
    assert "loss" not in drawn(progress, 60)[0]


def test_time_left_leaves_skipped_steps_out_of_the_pace():
    clock = Clock()
    progress = Progress("none", 100, clock=clock)
    assert progress.seconds_left is None
    progress.skip(40)
    assert progress.seconds_left is None
    clock.now = 20.0
    progress.update(10)
    assert progress.seconds_left == pytest.approx(2.0 * 50)
    progress.update(1000)
    assert progress.seconds_left == 0


def test_lines_has_one_line_for_each_finished_run():
    stream, clock = io.StringIO(), Clock()
    with Progress("lines", 40, stream, clock) as progress:
        for arm, seed in itertools.product(("max_pool", "avg_pool"), (0, 1)):
            progress.run(arm=arm, seed=seed, epochs=2)
            for epoch in (1, 2):
                clock.now += 1.5
                progress.update(5, epoch=epoch, loss=0.5, accuracy=0.25)
    lines = stream.getvalue().splitlines()
    assert lines[0] == (
        "max_pool seed 0: 2 epochs, loss 0.500, validation 25.0 %, 3.0 s, 0:00:09 left"
    )
    assert [line.split(":")[0] for line in lines] == [
        "max_pool seed 0",
        "max_pool seed 1",
        "avg_pool seed 0",
        "avg_pool seed 1",
    ]


def test_lines_tell_now_and_then_how_far_a_long_run_is():
    stream, clock = io.StringIO(), Clock()
    hours, told = 2, []
    with Progress("lines", 3600 * hours, stream, clock) as progress:
        progress.run(arm="resnet20", seed=None, epochs=10)
        for second in range(1, 3600 * hours + 1):
            clock.now = float(second)
            progress.update(1, epoch=1 + second // 720, loss=0.5)
            if len(stream.getvalue().splitlines()) > len(told):
                told.append(second)
    # The first soon; then never silent for more than a minute.
    assert told[0] == 5
    assert max(b - a for a, b in itertools.pairwise(told)) == 60
    assert len(told) < 60 * hours + 40
    lines = stream.getvalue().splitlines()
    assert lines[0] == "resnet20: epoch 1/10, loss 0.500, 5.0 s, 1:59:55 left"


def test_a_run_cut_short_is_not_told_as_finished():
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        with Progress("lines", 10, stream) as progress:
            progress.run(arm="max_pool", seed=0, epochs=2)
            raise KeyboardInterrupt
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "stream, term, live",
    [(io.StringIO, "xterm", False), (Terminal, "xterm", True), (Terminal, "dumb", 0)],
)
def test_auto_draws_only_where_it_can(stream, term, live, monkeypatch):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "80")
    stream = stream()
    with Progress("auto", 10, stream) as progress:
        progress.run(arm="max_pool", seed=0, epochs=1)
        progress.update(10, epoch=1)
        progress.log("a [remark] to keep")
    written = stream.getvalue()
    assert ("\x1b[" in written) == bool(live)
    assert "a [remark] to keep\n" in written
    assert "max_pool" in written
    # The cursor that a live display hides comes back.
    assert written.rfind("\x1b[?25h") >= written.rfind("\x1b[?25l")


def test_none_is_silent():
    stream = Terminal()
    with Progress("none", 10, stream) as progress:
        progress.run(arm="max_pool", seed=0, epochs=1)
        progress.update(10, epoch=1, loss=0.1)
        progress.log("a remark")
    assert stream.getvalue() == ""


def test_an_unknown_kind_is_refused():
    with pytest.raises(UserError, match="progress: 'loud' is not one of auto"):
        Progress("loud", 1)

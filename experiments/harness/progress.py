"""What a running experiment shows: a live bar on a terminal, plain lines elsewhere."""

import datetime
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from cnnlab.errors import UserError

KINDS = ("auto", "bar", "lines", "none")
_REDRAWS_PER_SECOND = 5
# How long "lines" is silent: a tenth of the time so far, within these seconds.
_SILENCE = 5.0, 60.0


class Progress:
    """Shows a fixed number of steps, made in several runs; a context manager.

    `kind`: "bar" is a live display, "lines" prints a line per finished run, and now and
    then how far one is, "none" is silent, "auto" is a bar on a terminal and lines
    elsewhere. Telling it costs next to nothing: a thread of its own draws.
    """

    def __init__(
        self,
        kind: str,
        total_steps: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        if kind not in KINDS:
            raise UserError("progress", f"'{kind}' is not one of {', '.join(KINDS)}")
        self._stream = sys.stderr if stream is None else stream
        self._kind = _choose(self._stream) if kind == "auto" else kind
        self._clock = clock
        self._total = total_steps
        self._made = 0
        self._skipped = 0
        self._started = self._told = clock()
        self._run: dict[str, Any] | None = None
        self._live: Any = None

    def __enter__(self) -> "Progress":
        self._started = self._told = self._clock()
        if self._kind == "bar":
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                self,
                console=Console(file=self._stream, force_terminal=True),
                refresh_per_second=_REDRAWS_PER_SECOND,
                transient=True,
                # What is printed to stdout may be piped elsewhere.
                redirect_stdout=False,
                redirect_stderr=self._stream is sys.stderr,
            )
            self._live.start()
        return self

    def __exit__(self, exception_type: Any, *exception: Any) -> None:
        if exception_type is None:
            self.finish_run()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def run(self, *, arm: str, seed: int | None, epochs: int, note: str = "") -> None:
        """Begin the next run, of a seed or of several, and end the one before.

        A run of 0 epochs has none, and is shown by its name; `log` tells its end.
        """
        self.finish_run()
        self._run = {
            "arm": arm,
            "seed": seed,
            "epochs": epochs,
            "note": note,
            "epoch": 0,
            "loss": None,
            "accuracy": None,
            "started": self._clock(),
        }

    def update(
        self,
        steps: int,
        *,
        epoch: int | None = None,
        loss: float | None = None,
        accuracy: float | None = None,
    ) -> None:
        """Count `steps` more; None leaves the value that is shown.

        `epoch` counts from 1; `accuracy` is the fraction right on validation.
        """
        self._made += steps
        if self._run is not None:
            if epoch is not None:
                self._run["epoch"] = epoch
            if loss is not None:
                self._run["loss"] = float(loss)
            if accuracy is not None:
                self._run["accuracy"] = float(accuracy)
            if steps and self._run["epochs"] and self._kind == "lines":
                self._tell_now_and_then(self._run)

    def skip(self, steps: int) -> None:
        """Count `steps` that an earlier process made: done, but no measure of speed."""
        self._skipped += steps

    def log(self, line: str) -> None:
        """Print `line`, above the bar where there is one."""
        if self._live is not None:
            self._live.console.print(
                line, markup=False, highlight=False, soft_wrap=True
            )
        elif self._kind == "lines":
            print(line, file=self._stream, flush=True)
            self._told = self._clock()

    @property
    def seconds_left(self) -> float | None:
        """The time to go at the pace so far; None before the first step."""
        if not self._made:
            return None
        pace = (self._clock() - self._started) / self._made
        return pace * max(self._total - self._made - self._skipped, 0)

    def finish_run(self) -> None:
        run, self._run = self._run, None
        if run is None or not run["epochs"] or self._kind != "lines":
            return
        epochs = "1 epoch" if run["epoch"] == 1 else f"{run['epoch']} epochs"
        self._tell(run, epochs)

    def _tell_now_and_then(self, run: dict[str, Any]) -> None:
        shortest, longest = _SILENCE
        now = self._clock()
        silence = min(max((now - self._started) / 10, shortest), longest)
        if now - self._told >= silence:
            self._tell(run, f"epoch {run['epoch']}/{run['epochs']}")

    def _tell(self, run: dict[str, Any], where: str) -> None:
        name = " ".join([run["arm"], *_seed(run)])
        parts = [f"{name}: {where}", *_figures(run)]
        parts.append(f"{self._clock() - run['started']:.1f} s")
        if self.seconds_left:
            parts.append(f"{_duration(self.seconds_left)} left")
        self.log(", ".join(parts))

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done = min(self._made + self._skipped, self._total)
        left = self.seconds_left
        yield Text(
            _headline(self._run, options.max_width), no_wrap=True, overflow="ellipsis"
        )
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(ratio=1)
        row.add_column(justify="right", no_wrap=True)
        row.add_row(
            ProgressBar(total=self._total, completed=done),
            f"{100 * done / max(self._total, 1):3.0f} %"
            f"  {_pace(self._made, self._clock() - self._started)}"
            f"  {_duration(self._clock() - self._started)}"
            f"  {'-:--:--' if left is None else _duration(left)} left",
        )
        yield row


def _choose(stream: TextIO) -> str:
    animated = stream.isatty() and os.environ.get("TERM") != "dumb"
    return "bar" if animated else "lines"


def _headline(run: dict[str, Any] | None, width: int) -> str:
    """The state of `run` in `width` columns; the note gives way first, then the arm."""
    if run is None:
        return "starting"
    numbers = [
        *_seed(run),
        *([f"epoch {run['epoch']}/{run['epochs']}"] if run["epochs"] else []),
        *_figures(run),
    ]
    for note in ([run["note"]] if run["note"] else []), []:
        rest = "  ".join(["", *numbers, *note])
        if len(run["arm"]) + len(rest) <= width:
            return run["arm"] + rest
    room = max(width - len(rest), 4)
    return run["arm"][: room - 1] + "…" + rest


def _seed(run: dict[str, Any]) -> list[str]:
    return [] if run["seed"] is None else [f"seed {run['seed']}"]


def _figures(run: dict[str, Any]) -> list[str]:
    shown = []
    if run["loss"] is not None:
        shown.append(f"loss {run['loss']:.3f}")
    if run["accuracy"] is not None:
        shown.append(f"validation {100 * run['accuracy']:.1f} %")
    return shown


def _pace(steps: int, seconds: float) -> str:
    return f"{steps / seconds:.3g} steps/s" if steps and seconds else "- steps/s"


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))

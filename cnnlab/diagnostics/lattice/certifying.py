"""The certificate of a function: run on integers, for every shift of its image."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from cnnlab.diagnostics.lattice.arguments import described, drawn, image_of, shifts_of
from cnnlab.diagnostics.lattice.certificate import Certificate, Verdict
from cnnlab.diagnostics.lattice.comparing import TOLERANCE, Findings
from cnnlab.diagnostics.lattice.drawing import draw_image
from cnnlab.diagnostics.lattice.running_copies import (
    Machine,
    ReLU,
    findings,
    machine,
)
from cnnlab.diagnostics.lattice.shift_sets import is_closed
from cnnlab.diagnostics.operation import Program
from cnnlab.diagnostics.program import trace
from cnnlab.errors import UserError
from cnnlab.ops.arguments import check_count

# Entries of the outputs, over all trials, that have to agree by chance for a shift to
# be taken for exact though it is not.
_SEEN = 16
_DTYPES = ("float32", "float64")
# A choice among phases is one event, whatever it moves: two may be alike by chance as
# often as every second time.
_TRIALS_OF_CHOICES = 16
_CHOOSING = {
    *("adaptive_polyphase", "learned_polyphase", "polyphase_choice"),
    *("argmax", "argmin", "sort", "top_k", "cond"),
}
# Weights are drawn anew so many times, should a ReLU be on or off everywhere.
_DRAWS = 3


def certify(
    function: Callable,
    *args: Any,
    image: int = -1,
    spatial: tuple[int, int] | None = None,
    seed: int = 0,
    trials: int | None = None,
    shifts: Sequence[tuple[int, int]] | None = None,
    per_layer: bool = True,
    dtype: str = "float32",
) -> Certificate:
    """The exact sets of circular shifts of the image under which `function` is exact.

    The same program runs on sparse integers in place of its weights, and on images of
    small integers, for each of the height x width rolls of the image. Sums of such
    numbers are exact in any order, so what differs then is wrong, and no rounding.

    - *Weights* are what does not depend on the image. The leaves of `args` are drawn
      from the seed, whatever they hold; of what the function holds itself, kernels keep
      the signs of their largest entries. Factors (those of a batch normalisation, the
      1 / n of a mean) become powers of two, terms multiples of 1/8.
    - *Folding.* After a pointwise function, such as a ReLU, values that have outgrown a
      few bits are folded back into a small range by a staircase, the same for every
      entry and every shift. So sums stay exact at any depth.
    - *Inexact operations* (roots, exponentials, a spectral pool) make the whole program
      run in float64. Their values are compared to 1e-9 and marked so, until the next
      pointwise function folds them into integers.

    A pointwise map that is the same everywhere cannot make a program depend on places,
    so every refuted shift is refuted for some weights of the same program with such
    maps after its pointwise functions; nor is an identity of linear layers lost, as
    none stands between them. A fold can hide a difference only by making values
    collide. A shift is certified if all entries of the outputs agree in all trials,
    each with other weights and another image; in every second trial the norms of what
    strides keep are tied on one of two images. The exact shifts are closed under
    addition: a note tells of found ones that are not, of which more trials leave fewer.

    Args:
        args: trees of arrays or `jax.ShapeDtypeStruct`s; of floating-point leaves only
            the shapes count. A batch of one image is enough.
        image: which argument is the image, or the batch of them.
        spatial: its two spatial axes; None means the two before the last.
        trials: with weights and images of their own; None means two, more where the
            outputs have less than 8 entries, 16 where the program chooses by its data
            (as polyphase pools do).
        shifts: the (dy, dx) to try; None means all. The sets hold no others.
        dtype: in which to begin: "float32", which goes on in float64 if an operation is
            inexact; or "float64", where that is known beforehand.
        per_layer: whether every operation has its own verdict, or the outputs alone.

    Raises:
        UserError: no array for an image, or one without two such axes; a function whose
            outputs do not depend on it, or that computes in less than float32.
        ValueError: a number of trials below 1.
        TypeError: a function that JAX cannot trace.
    """
    if trials is not None:
        check_count("trials", trials)
    image, spatial, shape = image_of(args, image, spatial)
    tried = shifts_of(shifts, shape)
    position = len(jax.tree.leaves(args[:image]))
    if dtype not in _DTYPES:
        raise UserError("dtype", f"{dtype!r} must be one of {', '.join(_DTYPES)}")
    for kind in map(np.dtype, _DTYPES[_DTYPES.index(dtype) :]):
        with jax.enable_x64(kind == np.float64):
            with jax.default_matmul_precision("highest"):
                leaves = [described(leaf, kind) for leaf in jax.tree.leaves(args)]
                described_args = jax.tree.unflatten(jax.tree.structure(args), leaves)
                program = trace(function, *described_args)
                ran = machine(program, position, spatial, per_layer)
                _check(ran, kind)
                count = trials or _trials(program, ran)
                found, relus = [], []
                for trial in range(count):
                    if found and not _unrounded(found[-1]) and kind == np.float32:
                        break
                    each, relus = _trial(ran, leaves, tried, (seed, trial))
                    found.append(each)
        if _unrounded(found[-1]):
            break
    return _certificate(ran, found, relus, kind.name, len(tried))


def _trials(program: Program, ran: Machine) -> int:
    if any(step.operation.name in _CHOOSING for step in program.steps()):
        return _TRIALS_OF_CHOICES
    return max(2, -(-_SEEN // max(ran.entries, 1)))


def _check(ran: Machine, dtype: np.dtype) -> None:
    if not ran.outputs:
        raise UserError("function", "none of its outputs depends on the image")
    if dtype == np.float64 and ran.narrowest != dtype:
        raise UserError(
            "function",
            f"computes in {ran.narrowest} what it gets in float64, and is not exact on "
            "integers; certify it without a dtype of its own",
        )


def _trial(ran, leaves, shifts, seed):
    """The findings of one draw, and its ReLUs; drawn anew where it shows nothing."""
    image = leaves[ran.image]
    for attempt in range(_DRAWS):
        rng = np.random.default_rng((*seed, attempt))
        arrays = [drawn(leaf, rng) for leaf in leaves]
        del arrays[ran.image]
        # Ties in the image; the other one is there to differ.
        images = [
            draw_image(image.shape, ran.spatial, tied, rng).astype(image.dtype)
            for tied in (seed[-1] % 2 == 1, False)
        ]
        each, relus = findings(ran, arrays, images, shifts)
        alive = all(one.varies for one in each[len(each) - ran.outputs :])
        if alive and all(0 < relu.share < 1 for relu in relus):
            break
    return each, relus


def _unrounded(each: list[Findings]) -> bool:
    return all(bool(one.unrounded) for one in each)


def _certificate(
    ran: Machine,
    found: list[list[Findings]],
    relus: list[ReLU],
    dtype: str,
    tried: int,
) -> Certificate:
    verdicts, notes = [], []
    for one, trials in zip(ran.watched, zip(*found, strict=True), strict=True):
        constant = not any(trial.varies for trial in trials)
        sets = [
            np.logical_and.reduce([trial[kind] for trial in trials]) & (not constant)
            for kind in range(3)
        ]
        exact = all(trial.unrounded for trial in trials)
        if not all(trial.finite for trial in trials):
            notes.append(f"{one.name}: is not a number in places")
        verdicts.append(
            Verdict(
                one.name,
                one.value.shape,
                tuple(
                    None if along.stride is None else float(along.stride)
                    for along in one.axes
                ),
                *sets,
                to=0.0 if exact else TOLERANCE,
                constant=constant,
            )
        )
    for relu in relus:
        if not 0 < relu.share < 1:
            state = "on" if relu.share else "off"
            notes.append(f"{relu.name}: is {state} everywhere, and so no test of it")
    every = math.prod(ran.shape)
    if tried < every:
        notes.append(f"{tried} of the {every} shifts were tried; no others are told of")
    ends = len(verdicts) - ran.outputs
    for verdict in verdicts[ends:]:
        if tried == every and not is_closed(verdict.invariant):
            notes.append(
                f"{verdict.name}: the shifts found are not closed under addition, as "
                "the exact ones are; more trials leave fewer"
            )
    return Certificate(
        tuple(verdicts[ends:]), tuple(verdicts[:ends]), dtype, tuple(notes)
    )

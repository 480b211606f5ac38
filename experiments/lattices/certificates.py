"""What is exact of one net, beside what its walk claims, as JSON values."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from experiments.harness import networks
from experiments.lattices.nets import Case, traced


def record(config: Any, case: Case) -> dict[str, Any]:
    """The certificate of a case beside its walk, or the reason why there is none.

    `walk.refuted` counts what the walk claims and the certificate refutes.
    """
    began = time.monotonic()
    told = {"pool": case.pool, "boundary": case.boundary}
    try:
        net, variables, image = traced(config, case, config.image_size)
    except networks.FAULTS as error:
        return told | {"reason": networks.first_line(error)}
    exact, found = certified(
        net.apply,
        variables,
        image,
        seed=config.seed,
        trials=config.trials,
        per_layer=config.per_layer,
    )
    claims, claimed = walked(net.apply, variables, image)
    claims["refuted"] = int(np.count_nonzero(claimed & ~exact))
    return told | found | {"walk": claims, "seconds": time.monotonic() - began}


def certified(
    apply: Callable,
    variables: Any,
    image: Any,
    *,
    shifts: Sequence[tuple[int, int]] | None = None,
    **options: Any,
) -> tuple[Bool[np.ndarray, "height width"], dict[str, Any]]:
    """The exact shifts of a net, and what is told of them.

    `exact` has a text for each row of the map of shifts, "#" where the output stays:
    entry [dy][dx] is the roll by dy down and dx to the right. `to` is 0 where every bit
    was compared.

    Args:
        shifts: those that are tried, of which the sums are exact as well; None means
            all.
        options: of `lattice.certify`.
    """
    from cnnlab.diagnostics.lattice import certify
    from cnnlab.diagnostics.lattice.shift_sets import describe, spanned

    certificate = certify(apply, variables, image, shifts=shifts, **options)
    exact = certificate.invariant
    constant = any(verdict.constant for verdict in certificate.outputs)
    if shifts is not None and not constant:
        tried = np.zeros_like(exact)
        tried[tuple(np.transpose(shifts))] = True
        exact = spanned(exact, tried)
    return exact, {
        "description": describe(exact),
        "exact": _rows(exact),
        "count": int(np.count_nonzero(exact)),
        "share": float(exact.mean()),
        "constant": constant,
        "dtype": certificate.dtype,
        "to": max(verdict.to for verdict in certificate.outputs),
        "notes": list(certificate.notes),
        "layers": [_layer(verdict) for verdict in certificate.operations],
    }


def walked(
    apply: Callable, variables: Any, image: Any
) -> tuple[dict[str, Any], Bool[np.ndarray, "height width"]]:
    """What the walk claims of a net, and the shifts that it claims leave its output."""
    from cnnlab.diagnostics.geometry import walk
    from cnnlab.diagnostics.lattice.shift_sets import describe, lattice

    found = walk(apply, variables, image)
    claimed = np.logical_and.reduce(
        [lattice(found.image, *_staying(row, found.image)) for row in found.outputs]
    )
    whys = dict.fromkeys(row.why for row in found.outputs if row.why)
    return {
        "description": describe(claimed),
        "exact": _rows(claimed),
        "count": int(np.count_nonzero(claimed)),
        "why": "; ".join(whys),
        "breaks": [lost.as_json() for lost in found.breaks],
    }, claimed


def _staying(row, size: tuple[int, int]) -> list[int]:
    """The shifts of which the walk claims that they leave a value as it is.

    Along an axis that moves, that is the identity alone.
    """
    return [
        step if axis is None else pixels
        for step, axis, pixels in zip(row.shifts, row.axes, size, strict=True)
    ]


def _rows(shifts) -> list[str]:
    return ["".join(".#"[int(entry)] for entry in row) for row in shifts]


def _layer(verdict) -> dict[str, Any]:
    from cnnlab.diagnostics.lattice.shift_sets import describe

    return {
        "name": verdict.name.partition("/")[2] or verdict.name,
        "shape": list(verdict.shape),
        "strides": list(verdict.strides),
        "map": verdict.is_map,
        "constant": verdict.constant,
        "to": verdict.to,
        **{
            kind: describe(getattr(verdict, kind))
            for kind in ("invariant", "equivariant", "rolled")
        },
    }

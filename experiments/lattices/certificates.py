"""What is exact of one net, beside what its walk claims, as JSON values."""

import time
from typing import Any

import numpy as np

from experiments.harness import networks
from experiments.lattices.nets import Case, traced


def record(config: Any, case: Case) -> dict[str, Any]:
    """The certificate of a case, or the reason why there is none.

    `exact` has a text for each row of the map of shifts, "#" where the output stays:
    entry [dy][dx] is the roll by dy down and dx to the right. `to` is 0 where every bit
    was compared. `walk.refuted` counts what the walk claims and the certificate
    refutes.
    """
    from cnnlab.diagnostics.geometry import walk
    from cnnlab.diagnostics.lattice import certify
    from cnnlab.diagnostics.lattice.shift_sets import describe, lattice

    began = time.monotonic()
    told = {"pool": case.pool, "boundary": case.boundary}
    try:
        net, variables, image = traced(config, case, config.image_size)
    except networks.FAULTS as error:
        return told | {"reason": networks.first_line(error)}
    certificate = certify(
        net.apply,
        variables,
        image,
        seed=config.seed,
        trials=config.trials,
        per_layer=config.per_layer,
    )
    found = certificate.invariant
    walked = walk(net.apply, variables, image)
    claimed = np.logical_and.reduce(
        [lattice(found.shape, *_staying(row, found.shape)) for row in walked.outputs]
    )
    whys = dict.fromkeys(row.why for row in walked.outputs if row.why)
    return told | {
        "description": describe(found),
        "exact": _rows(found),
        "count": int(np.count_nonzero(found)),
        "share": float(found.mean()),
        "constant": any(verdict.constant for verdict in certificate.outputs),
        "dtype": certificate.dtype,
        "to": max(verdict.to for verdict in certificate.outputs),
        "notes": list(certificate.notes),
        "walk": {
            "description": describe(claimed),
            "exact": _rows(claimed),
            "count": int(np.count_nonzero(claimed)),
            "refuted": int(np.count_nonzero(claimed & ~found)),
            "why": "; ".join(whys),
            "breaks": [lost.as_json() for lost in walked.breaks],
        },
        "layers": [_layer(verdict) for verdict in certificate.operations],
        "seconds": time.monotonic() - began,
    }


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

"""What the arms of a comparison share, seed by seed, as digests."""

import hashlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from cnnlab.training import checkpoint
from experiments.training.job import Job


def digests(jobs: Sequence[Job]) -> list[list[dict[str, str]]]:
    """For each arm and seed `initial_params_hash` and `batches_hash`.

    The first is of the parameters that have the same path and shape in all arms, and
    is left out where there are none; the second of the first epoch's batches.
    """
    shapes = [jax.eval_shape(lambda job=job: job.start())[0].params for job in jobs]
    common = set.intersection(*({*_flat(each)} for each in shapes))
    common = {
        path
        for path in common
        if len({_flat(each)[path].shape for each in shapes}) == 1
    }
    found = []
    for job in jobs:
        orders = job.orders(0)
        found.append([])
        for state, order in zip(job.start(), orders, strict=True):
            order = np.asarray(order, np.int64)
            digest = {"batches_hash": hashlib.sha256(order.tobytes()).hexdigest()}
            shared = {k: v for k, v in _flat(state.params).items() if k in common}
            if shared:
                digest["initial_params_hash"] = checkpoint.params_hash(shared)
            found[-1].append(digest)
    return found


def _flat(params: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}

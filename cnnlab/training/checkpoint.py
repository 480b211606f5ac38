"""Trained parameters on disk (Orbax), and the digest that names them."""

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np


def params_hash(tree: Any) -> str:
    """SHA-256 over the bytes of the tree's arrays, in the order of their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = sorted((jax.tree_util.keystr(path), leaf) for path, leaf in leaves)
    digest = hashlib.sha256()
    for _, leaf in named:
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def save(path: Path, variables: Any) -> None:
    """Writes a tree of arrays to the folder `path`, replacing one that is there."""
    import orbax.checkpoint as ocp

    # From the host, because Orbax restores an array only to the devices it was on.
    variables = jax.device_get(variables)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.absolute(), variables, force=True)


def restore(path: Path) -> Any:
    """The tree of NumPy arrays that `save` wrote to `path`."""
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        return jax.tree.map(np.asarray, checkpointer.restore(path.absolute()))

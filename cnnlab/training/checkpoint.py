"""Trees of arrays on disk: whole or not at all, and never other bits than were saved.

Orbax stores the arrays. It raises for a file that was cut short, and restores one in
which a bit has changed; so an index of SHA-256 digests lies beside its files. By them
damage is told from files that are whole and cannot be read here.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnnlab.errors import UserError
from cnnlab.training.checkpoint_index import (
    Damaged,
    Index,
    Unreadable,
    read_index,
    reading,
    write_index,
)
from cnnlab.training.orbax_arrays import (
    PACKAGES,
    one_line,
    read_arrays,
    versions,
    write_arrays,
)
from cnnlab.training.state import variables

PARTIAL = ".partial"
"""What the name of a folder ends with while it is being written or removed."""


def params_hash(tree: Any) -> str:
    """SHA-256 over the bytes of the tree's arrays, in the order of their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = sorted((jax.tree_util.keystr(path), leaf) for path, leaf in leaves)
    digest = hashlib.sha256()
    for _, leaf in named:
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def save(path: Path, tree: Any, metadata: Any = None) -> None:
    """Writes arrays, and JSON about them, to the folder `path`.

    All of it is on the disk when the folder appears, or replaces one that is there.

    Raises:
        OSError: the file system refuses; what was at `path` is still there.
    """
    path = path.absolute()
    # From the host, because Orbax restores an array only to the devices it was on.
    tree = jax.tree.map(np.asarray, jax.device_get(tree))
    scratch = path.with_name(path.name + PARTIAL)
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        whole = scratch / "whole"
        write_arrays(whole, tree)
        files = sorted(file for file in whole.rglob("*") if file.is_file())
        index = Index(
            _described(tree),
            {str(file.relative_to(whole)): _digest_of_file(file) for file in files},
            metadata,
            versions(),
        )
        write_index(whole, index)
        for inside in (*whole.rglob("*"), whole):
            _flush(inside)
        _replace(path, whole, scratch / "replaced")
        _flush(path.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def restore(path: Path, like: Any = None) -> Any:
    """The tree of NumPy arrays that `save` wrote to `path`.

    Args:
        like: the tree that is wanted, of arrays or `jax.ShapeDtypeStruct`. None gives
            dictionaries for named tuples, and lists for other tuples.

    Raises:
        UserError: about `workdir`: the tree is not like `like`.
        Unreadable: about `workdir` too: no damage is known, and it cannot be read.
        Damaged: it is not what was saved.
    """
    path = path.absolute()
    index = read_index(path)
    _refuse_other(path, index.arrays, like)
    tree = _verified(path, index)
    if like is None:
        return tree
    arrays = dict(_named(tree))
    leaves = [arrays[name] for name, _ in _named(like)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def net_of(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of the net in a checkpoint: the averaged ones, if it has any.

    Args:
        tree: "params", and where there are any "batch_stats" and "average".
    """
    net = tree.get("average") or tree
    return variables(net["params"], net.get("batch_stats"))


def _verified(path: Path, index: Index) -> Any:
    # The files first: a parser may do worse with a damaged one than raise.
    for name, digest in index.files.items():
        with reading(path, name):
            intact = _digest_of_file(path / name) == digest
        if not intact:
            raise Damaged(f"{name} has changed")
    try:
        tree = read_arrays(path)
    # Orbax and TensorStore each raise their own.
    except Exception as error:
        raise _unreadable(path, index, one_line(error)) from error
    found = _described(tree)
    for name in sorted(index.arrays.keys() | found.keys()):
        if index.arrays.get(name) == found.get(name):
            continue
        reason = f"the array {name} has changed"
        # Other versions may read the same files otherwise.
        if index.versions != versions():
            raise _unreadable(path, index, reason)
        raise Damaged(reason)
    return tree


def _unreadable(path: Path, index: Index, reason: str) -> Unreadable:
    return Unreadable(
        "workdir",
        f"the files of the checkpoint '{path}' are whole, but "
        f"{_listed(versions())} cannot read what {_listed(index.versions)} wrote "
        f"({reason}); nothing has been changed",
    )


def _listed(found: Mapping[str, str]) -> str:
    return " and ".join(
        f"{package} {found.get(package, 'of an unknown version')}"
        for package in PACKAGES
    )


def _refuse_other(path: Path, arrays: dict[str, list[str]], like: Any) -> None:
    if like is None:
        return
    wanted = {name: _kind(leaf) for name, leaf in _named(like)}
    for name in (*wanted, *arrays):
        kind, _ = arrays.get(name, (None, None))
        if kind != wanted.get(name):
            raise UserError(
                "workdir",
                f"the checkpoint '{path}' is of another model or configuration: its "
                f"{name} is {kind or 'missing'}, where {wanted.get(name) or 'nothing'} "
                "is wanted",
            )


def _named(tree: Any) -> Iterator[tuple[str, Any]]:
    """The arrays by their paths, which are the same in the tree that Orbax restores."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield jax.tree_util.keystr(path, simple=True, separator="/"), leaf


def _described(tree: Any) -> dict[str, list[str]]:
    return {name: [_kind(leaf), _digest(leaf)] for name, leaf in _named(tree)}


def _kind(leaf: Any) -> str:
    leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return f"{leaf.dtype}{list(leaf.shape)}"


def _digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(_kind(array).encode())
    # As bytes, because bfloat16 has no buffer to be read from.
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _digest_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, new: Path, replaced: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    os.rename(path, replaced)
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(replaced, path)
        raise


def _flush(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

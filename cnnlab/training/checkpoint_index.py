"""What a checkpoint says of itself, and in which ways it may not be what was saved."""

import contextlib
import errno
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from cnnlab.errors import UserError
from cnnlab.training.orbax_arrays import one_line

_INDEX = "index.json"

# Of a file that is not what was saved; by others it may only not be open to us.
_DAMAGE = errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO


class Damaged(Exception):
    """A checkpoint that is not what was saved; `str()` says why, in one line."""


class Unreadable(UserError):
    """A checkpoint of which no damage is known, and that cannot be read here."""


class Index(NamedTuple):
    """What a checkpoint says of itself.

    Attributes:
        arrays: (dtype and shape, digest) of every array, by its path in the tree.
        files: the digests of Orbax's files, by their paths in the folder.
        metadata: what was saved with the arrays.
        versions: of what wrote the files; empty where that was not kept.
    """

    arrays: dict[str, list[str]]
    files: dict[str, str]
    metadata: Any
    versions: Mapping[str, str] = MappingProxyType({})


def write_index(path: Path, index: Index) -> None:
    """Writes the index of the checkpoint in the folder `path`, and its own digest."""
    content = index._asdict()
    (path / _INDEX).write_text(json.dumps({**content, "seal": _seal(content)}))


def read_index(path: Path) -> Index:
    """What the checkpoint at `path` says of itself.

    Raises:
        Damaged: the index is missing, or not what was written.
        Unreadable: it may be, and cannot be read here.
    """
    with reading(path, _INDEX):
        stored = (path / _INDEX).read_bytes()
    try:
        content = json.loads(stored)
        intact = content.pop("seal") == _seal(content)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise Damaged(f"{_INDEX} cannot be read: {one_line(error)}") from error
    if not intact:
        raise Damaged(f"{_INDEX} has changed")
    try:
        return Index(**content)
    except TypeError as error:
        raise Unreadable(
            "workdir",
            f"the checkpoint '{path}' was written by another version of cnnlab "
            f"({one_line(error)})",
        ) from error


@contextlib.contextmanager
def reading(path: Path, name: str) -> Iterator[None]:
    """Within it, a file of a checkpoint is read."""
    try:
        yield
    except FileNotFoundError as error:
        raise Damaged(f"{name} is missing") from error
    except OSError as error:
        if error.errno in _DAMAGE:
            raise Damaged(f"{name}: {one_line(error)}") from error
        raise Unreadable("workdir", f"'{path / name}': {one_line(error)}") from error


def _seal(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

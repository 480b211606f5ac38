"""Decoded splits as .npy files in the user's cache, checked when they are read.

An entry is a folder named by the fingerprint of what was decoded. It holds each array
and, written last, the digests that the arrays must have.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cnnlab.data.dataset import Split

_DIGESTS = "digests.json"


def read(fingerprint: str, split_names: Iterable[str]) -> dict[str, Split] | None:
    """The cached splits by name; None where one is absent, damaged or unreadable."""
    folder = _folder(fingerprint)
    try:
        digests = json.loads((folder / _DIGESTS).read_text())
        splits = {}
        for split_name in split_names:
            arrays = {
                part: np.load(folder / f"{split_name}_{part}.npy", allow_pickle=False)
                for part in ("images", "labels")
            }
            if {part: _digest(array) for part, array in arrays.items()} != digests[
                split_name
            ]:
                return None
            splits[split_name] = Split(**arrays)
        return splits
    # What NumPy and json raise for a file cut short or overwritten.
    except (OSError, ValueError, EOFError, TypeError, KeyError):
        return None


def write(fingerprint: str, splits: dict[str, Split]) -> None:
    """Stores the splits; a cache that cannot be written is left as it is."""
    folder = _folder(fingerprint)
    digests: dict[str, dict[str, str]] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for split_name, split in splits.items():
            arrays = {"images": split.images, "labels": split.labels}
            digests[split_name] = {}
            for part, array in arrays.items():
                digests[split_name][part] = _digest(array)
                _replace(
                    folder / f"{split_name}_{part}.npy",
                    lambda file, array=array: np.save(file, array),
                )
        text = json.dumps(digests, indent=2).encode()
        _replace(folder / _DIGESTS, lambda file: file.write(text))
    except OSError:
        return


def _folder(fingerprint: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "cnnlab" / "datasets" / fingerprint


def _digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _replace(path: Path, write_to: Callable[[BinaryIO], object]) -> None:
    """Writes a whole file or leaves the one that is there."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write_to(file)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

"""Tensors in a safetensors file, which is data alone and never runs code."""

import json
import math
import os
from types import TracebackType
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from cnnlab.errors import UserError

FLOATS = "F64", "F32", "F16", "BF16"
"""The stored dtypes that weights may have."""

_PICKLED = ".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".zip"
# Zip archives, as PyTorch's are, and protocols 2 to 5 of pickle itself.
_PICKLED_BEGIN = b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"


class Header(NamedTuple):
    """What a file says of a tensor before any of it is read."""

    dtype: str
    shape: tuple[int, ...]


class TensorFile:
    """An open safetensors file; a context manager. It reads one tensor at a time.

    Attributes:
        path: of the file.
        metadata: the texts that the file says about itself.
        headers: of its tensors by name, in the file's order.

    Raises:
        UserError: about `weights`, for what is not a whole safetensors file.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.path.expanduser(path)
        try:
            self._file = safe_open(self.path, framework="numpy")
        except (OSError, SafetensorError) as error:
            raise UserError("weights", f"'{path}' {_fault(self.path, error)}") from None
        self.metadata: dict[str, str] = self._file.metadata() or {}
        self.headers: dict[str, Header] = {}
        for name in self._file.keys():
            stored = self._file.get_slice(name)
            self.headers[name] = Header(stored.get_dtype(), tuple(stored.get_shape()))

    def read(self, name: str) -> np.ndarray:
        """The tensor of that name, as it is stored."""
        return self._file.get_tensor(name)

    def __enter__(self) -> "TensorFile":
        self._file.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.__exit__(kind, error, traceback)


def _fault(path: str, error: Exception) -> str:
    """The rest of a sentence that begins with the file: why it cannot be opened."""
    try:
        with open(path, "rb") as file:
            return _fault_of_content(path, file.read(8), file) or _no_tensors(error)
    except OSError as refused:
        return f"cannot be read: {refused.strerror or refused}"


def _fault_of_content(path: str, begin: bytes, file) -> str | None:
    if begin.startswith(_PICKLED_BEGIN) or path.endswith(_PICKLED):
        return (
            "is a pickle or an archive of pickles, which may run code when read; only "
            "safetensors files are (safetensors.torch.save_file writes them)"
        )
    size = os.path.getsize(path)
    length = int.from_bytes(begin, "little")
    if not 0 < length <= size - 8:
        return None
    try:
        header = json.loads(file.read(length))
        tensors = {name: of for name, of in header.items() if name != "__metadata__"}
        return _first_cut_short(tensors, size - 8 - length)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _first_cut_short(tensors: dict, available: int) -> str | None:
    for name, of in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = of["data_offsets"]
        if end > available:
            values = math.prod(of["shape"])
            there = max(available - begin, 0) * values // (end - begin)
            return (
                f"is cut short: of '{name}' {of['shape']} it has {there:,} of "
                f"{values:,} values"
            )
    return None


def _no_tensors(error: Exception) -> str:
    return f"is not a whole safetensors file ({' '.join(str(error).split())})"

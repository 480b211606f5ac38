"""Files that appear whole or not at all, and JSON that every reader accepts.

What the file system refuses (a full disk, a missing permission) is the user's to mend:
it becomes a `UserError` about `workdir` that names the path.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError

PARTIAL = ".partial"
"""What the name of a file ends with while it is being written."""


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a `UserError` about `path`."""
    try:
        yield
    except OSError as error:
        raise UserError("workdir", f"'{path}': {error.strerror or error}") from error


def make_directory(path: Path) -> None:
    with storing(path):
        if path.exists() and not path.is_dir():
            raise UserError(
                "workdir", f"'{path}' is a file, where a directory is needed"
            )
        path.mkdir(parents=True, exist_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path`, which until then keeps what it held."""
    partial = path.with_name(path.name + PARTIAL)
    make_directory(path.parent)
    with storing(path):
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def append_line(path: Path, line: bytes) -> None:
    """Add `line`, and first end one that was cut short."""
    with storing(path), open(path, "a+b") as file:
        torn = False
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
        file.write((b"\n" if torn else b"") + line + b"\n")


def flush(path: Path) -> None:
    """Returns when the file at `path`, where there is one, is on the disk."""
    with contextlib.suppress(FileNotFoundError), storing(path), open(path) as file:
        os.fsync(file.fileno())


def encode(content: Any, indent: int | None = None) -> bytes:
    """`content` as strict JSON; arrays are lists, numbers that are not finite null."""
    return json.dumps(_plain(content), allow_nan=False, indent=indent).encode()


def decode_object(text: bytes) -> dict[str, Any] | None:
    """The JSON object in `text`; None where there is no such thing."""
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object stored at `path`; None where none can be read."""
    try:
        return decode_object(path.read_bytes())
    except OSError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""Arrays through Orbax, from any thread: silent, and with the system's own errors."""

import contextlib
import errno
import importlib.metadata
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

PACKAGES = "orbax-checkpoint", "tensorstore"
"""What files of arrays are written and read by."""


def versions() -> dict[str, str]:
    """Those of `PACKAGES`."""
    return {package: importlib.metadata.version(package) for package in PACKAGES}


def write_arrays(path: Path, tree: Any) -> None:
    """Writes a tree of NumPy arrays to the new folder `path`.

    Raises:
        OSError: nothing, or not all of it, could be written.
    """
    import orbax.checkpoint as ocp

    # Compressed it is smaller, but Orbax adds descriptions to each array.
    sizes = [leaf.nbytes + 4096 for leaf in jax.tree.leaves(tree)]
    _reserve(path.with_name("room"), 65536 + sum(sizes))
    handler = ocp.StandardCheckpointHandler()
    with _silent(), ocp.Checkpointer(handler) as checkpointer:
        try:
            checkpointer.save(path, args=ocp.args.StandardSave(tree))
        except OSError:
            raise
        # TensorStore tells of a full disk by a ValueError.
        except Exception as error:
            code = re.search(r"os_error_code='(\d+)'", str(error))
            if code is None:
                raise OSError(one_line(error)) from error
            number = int(code[1])
            raise OSError(number, os.strerror(number), str(path)) from error


def read_arrays(path: Path) -> Any:
    """The tree of NumPy arrays in the folder `path`, of dictionaries and lists."""
    import orbax.checkpoint as ocp

    handler = ocp.StandardCheckpointHandler()
    with _silent(), ocp.Checkpointer(handler) as checkpointer:
        tree = checkpointer.restore(path, args=ocp.args.StandardRestore())
    return jax.tree.map(np.asarray, tree)


def one_line(error: BaseException) -> str:
    """What an exception says, short enough to stand in a sentence."""
    said = getattr(error, "strerror", None) or str(error)
    return " ".join(said.split())[:200] or type(error).__name__


def _reserve(path: Path, size: int) -> None:
    """Raises where a disk is full, while no write of TensorStore's is under way.

    Those that are when another one fails print a traceback each, of an event loop that
    Orbax has closed.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        with open(path, "wb") as room:
            os.posix_fallocate(room.fileno(), 0, size)
    except OSError as error:
        # Some file systems cannot reserve.
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Within it, Orbax logs nothing: what it has to say is in its exceptions."""
    logger = logging.getLogger("absl")

    def elsewhere(record: logging.LogRecord) -> bool:
        return f"{os.sep}orbax{os.sep}" not in record.pathname

    logger.addFilter(elsewhere)
    try:
        yield
    finally:
        logger.removeFilter(elsewhere)

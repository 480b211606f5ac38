"""Where a prepared set lies, and what to tell the user when it lies nowhere."""

import difflib
import os
import re
import shlex
from pathlib import Path

from cnnlab.data.dataset import DRAWN
from cnnlab.data.quiet import quiet
from cnnlab.errors import UserError

# A TFDS name, with its configuration where it has several: "cifar10_corrupted/fog_1".
_NAME = re.compile(r"[A-Za-z]\w*(/[\w.+-]+)?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def find(name: str, data_dir: str | None = None) -> Path:
    """The folder of the set's highest prepared version.

    Raises:
      UserError: a set that is unknown or not prepared, or no such `data_dir`.
    """
    root = resolve_data_dir(data_dir)
    folder = newest_version(root, name)
    if folder is not None:
        return folder
    check_registered(name, root)
    command = f"prepare it with: {prepare_command(name, root)}"
    if data_dir and not root.is_dir():
        told = f"{data_dir!r} is not a folder; for {name}, {command}"
        raise UserError("data_dir", told)
    raise UserError(
        "dataset", f"{name!r} is not prepared: looked in {root / name}; {command}"
    )


def resolve_data_dir(data_dir: str | None) -> Path:
    """The folder meant: `data_dir`, else $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(chosen).expanduser()


def prepare_command(name: str, root: Path) -> str:
    """The command that downloads a set and prepares it under `root`."""
    arguments = [f"--dataset={name}", f"--data_dir={root}"]
    return f"python -m experiments.prepare_data {shlex.join(arguments)}"


def newest_version(root: Path, name: str) -> Path | None:
    """The folder of the highest version that has been prepared; None without one."""
    if not _NAME.fullmatch(name):
        return None
    versions = [
        info.parent
        for info in (root / name).glob("*/dataset_info.json")
        if _VERSION.fullmatch(info.parent.name)
    ]
    return max(
        versions,
        key=lambda folder: [int(part) for part in folder.name.split(".")],
        default=None,
    )


def check_registered(name: str, root: Path) -> None:
    """Returns where TFDS has a builder for the set.

    Raises:
      UserError: no builder of that name, with the names that come close.
    """
    with quiet():
        import tensorflow_datasets as tfds

        # The community's list would be fetched from the network.
        registered = tfds.list_builders(with_community_datasets=False)
    if _NAME.fullmatch(name) and name.split("/")[0] in registered:
        return
    on_disk = [info.parents[1].name for info in root.glob("*/*/dataset_info.json")]
    known = {*DRAWN, *registered, *on_disk}
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise UserError(
        "dataset",
        f"{name!r} is unknown; {hint}allowed are {', '.join(DRAWN)}, TFDS image "
        f"classification sets such as mnist, and sets prepared in {root}",
    )

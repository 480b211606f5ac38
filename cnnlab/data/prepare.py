"""Downloading and preparing a set, by TFDS in a form that needs no TensorFlow to read.

TFDS needs TensorFlow for this (the extra `prepare`).
"""

import importlib.util
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from cnnlab.data import locating
from cnnlab.data.dataset import DRAWN
from cnnlab.data.prepared_files import PreparedFiles
from cnnlab.data.quiet import quiet
from cnnlab.errors import UserError

# What TFDS imports on this path without depending on it.
_NEEDED = ("tensorflow", "importlib_resources")
_PROBE_SECONDS = 5.0


def prepare(name: str, data_dir: str | None = None) -> Path:
    """The folder of the prepared set, after downloading and preparing it if need be.

    TFDS checks the downloads against its registered SHA-256 sums. `data_dir` None
    means $TFDS_DATA_DIR, or else ~/tensorflow_datasets.

    Raises:
      UserError: a set that is unknown or prepared in another form, no TensorFlow, no
        network, a folder that cannot be written, or a set that TFDS cannot prepare.
    """
    if name in DRAWN:
        raise UserError("dataset", f"{name!r} is drawn when loaded; nothing to prepare")
    root = locating.resolve_data_dir(data_dir)
    folder = locating.newest_version(root, name)
    if folder is not None:
        PreparedFiles.read(name, folder)
        return folder
    locating.check_registered(name, root)
    for module in _NEEDED:
        if importlib.util.find_spec(module) is None:
            raise UserError(
                "dataset",
                f"preparing {name!r} needs TensorFlow ({module} is not installed): "
                "pip install -e '.[prepare]'; reading it afterwards does not",
            )
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("data_dir", f"{root}: {error.strerror}") from error
    return _download_and_prepare(name, root)


def _download_and_prepare(name: str, root: Path) -> Path:
    with quiet():
        import tensorflow_datasets as tfds

        try:
            builder = tfds.builder(name, data_dir=root, file_format="array_record")
            unreachable = unreachable_hosts(builder.url_infos)
            if unreachable:
                raise UserError(
                    "dataset",
                    f"{name!r} cannot be downloaded: no answer from "
                    f"{', '.join(unreachable)}",
                )
            builder.download_and_prepare(file_format="array_record")
        except UserError:
            raise
        # A builder is free to raise anything: a refused download, a wrong checksum, a
        # set that has to be fetched by hand, a full disk.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                "dataset", f"TFDS could not prepare {name!r}: {reason[:500]}"
            ) from error
    return Path(builder.data_dir)


def unreachable_hosts(
    urls: Iterable[str], seconds: float = _PROBE_SECONDS
) -> list[str]:
    """The hosts of the given URLs that do not answer, sorted; all are asked at once.

    TFDS would retry each for minutes.
    """
    by_host = {urllib.parse.urlsplit(url).netloc: url for url in urls}
    answered: set[str] = set()

    def ask(host: str, url: str) -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError:
            # A refusal is an answer; many servers refuse HEAD.
            pass
        except (OSError, ValueError):
            return
        answered.add(host)

    # Daemons, since looking up a name can outlast any timeout given to it.
    threads = [
        threading.Thread(target=ask, args=item, daemon=True) for item in by_host.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    return sorted(set(by_host) - answered)

"""From record files to arrays, by TFDS but without TensorFlow."""

from collections.abc import Iterator

import numpy as np

from cnnlab.data.dataset import Split
from cnnlab.data.prepared_files import PreparedFiles
from cnnlab.data.quiet import quiet
from cnnlab.errors import UserError

with quiet():
    import tensorflow_datasets as tfds

# Examples per call: enough to make the calls cheap, and few enough to hold decoded.
_CHUNK = 1000


def decode(files: PreparedFiles, split_name: str) -> Split:
    """All examples of one split, in stored order.

    Raises:
      UserError: a record file that cannot be read, or images of several shapes.
    """
    with quiet():
        source = _open(files, split_name)
        images: np.ndarray | None = None
        labels = np.empty(len(source), np.int32)
        for start, examples in _chunks(files, split_name, source):
            decoded = [example[files.image_key] for example in examples]
            if images is None:
                images = np.empty((len(source), *decoded[0].shape), np.uint8)
            shapes = {image.shape for image in decoded} - {images.shape[1:]}
            if shapes:
                raise UserError(
                    "dataset",
                    f"{files.name!r} has images of several shapes, "
                    f"{images.shape[1:]} and {shapes.pop()}; one is needed",
                )
            stop = start + len(examples)
            images[start:stop] = decoded
            labels[start:stop] = [example[files.label_key] for example in examples]
    if images is None:
        raise UserError("dataset", f"{files.name!r} has no {split_name} examples")
    return Split(images, labels)


def _open(files: PreparedFiles, split_name: str):
    try:
        builder = tfds.builder_from_directory(files.folder)
        return builder.as_data_source(split=split_name)
    # TFDS documents no exceptions; the descriptions are the only thing read here.
    except Exception as error:
        raise _damaged(files.folder, error) from error


def _chunks(files: PreparedFiles, split_name: str, source) -> Iterator[tuple]:
    """(index of the first, examples), never across files, so a fault has one name."""
    first = 0
    for shard in files.shards[split_name]:
        for start in range(first, first + shard.length, _CHUNK):
            stop = min(start + _CHUNK, first + shard.length)
            try:
                examples = source.__getitems__(list(range(start, stop)))
            # array_record, protobuf, PIL and OpenCV each raise their own.
            except Exception as error:
                raise _damaged(shard.path, error) from error
            yield start, examples
        first += shard.length


def _damaged(path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError("dataset", f"{path}: damaged ({reason[:200]})")

"""Image classification sets that TFDS has prepared on disk, read without TensorFlow."""

from cnnlab.data import decoded_cache, locating
from cnnlab.data.dataset import Dataset
from cnnlab.data.prepared_files import PreparedFiles


def load(name: str, data_dir: str | None = None) -> Dataset:
    """The splits "train" and "test" of a prepared set, in stored order.

    The first read decodes the record files; later ones take the arrays from the
    user's cache ($XDG_CACHE_HOME or ~/.cache, under cnnlab/datasets).

    Raises:
      UserError: a set that is unknown, not prepared, damaged, or not of labelled
        uint8 images of one size.
    """
    files = PreparedFiles.read(name, locating.find(name, data_dir))
    fingerprint = files.fingerprint()
    splits = decoded_cache.read(fingerprint, files.shards)
    if splits is None:
        # Imports TFDS, which takes longer than reading the cache does.
        from cnnlab.data.decoding import decode

        splits = {split_name: decode(files, split_name) for split_name in files.shards}
        decoded_cache.write(fingerprint, splits)
    return Dataset(
        name=name,
        train=splits["train"],
        test=splits["test"],
        class_names=files.class_names,
        fingerprint=fingerprint,
    )

"""What the JSON files beside a prepared set's records say about it."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from cnnlab.data import locating
from cnnlab.errors import UserError

_DESCRIPTIONS = ("dataset_info.json", "features.json")
_SPLITS = ("train", "test")
# What TFDS assumes where dataset_info.json gives no template.
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


@dataclasses.dataclass(frozen=True)
class Shard:
    """A record file and the number of examples in it."""

    path: Path
    length: int


@dataclasses.dataclass(frozen=True)
class PreparedFiles:
    """A prepared image classification set, not yet decoded."""

    name: str
    folder: Path
    shards: dict[str, tuple[Shard, ...]]
    image_key: str
    label_key: str
    class_names: tuple[str, ...]

    @classmethod
    def read(cls, name: str, folder: Path) -> "PreparedFiles":
        """The set described in `folder`, the one that holds dataset_info.json.

        Raises:
          UserError: unreadable descriptions, another file format than array_record,
            no split "train" or "test", or not a set of uint8 images with class labels.
        """
        info, description = (_read_json(folder / file) for file in _DESCRIPTIONS)
        try:
            shards = _shards(name, folder, info)
            features = description["featuresDict"]["features"]
            image_key, label_key = _supervised_keys(info)
            _check_kind(name, features, image_key, label_key)
            num_classes = int(features[label_key]["classLabel"]["numClasses"])
        # The JSON is valid but lacks what TFDS always writes.
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                "dataset", f"{folder}: damaged description ({error!r})"
            ) from error
        class_names = _class_names(folder / f"{label_key}.labels.txt", num_classes)
        return cls(name, folder, shards, image_key, label_key, class_names)

    def fingerprint(self) -> str:
        """SHA-256 over the descriptions and the record files, names and contents."""
        paths = [self.folder / file for file in _DESCRIPTIONS]
        paths += [shard.path for split in _SPLITS for shard in self.shards[split]]
        digest = hashlib.sha256()
        for path in paths:
            try:
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UserError("dataset", f"{path}: {error.strerror}") from error
            digest.update(f"{path.relative_to(self.folder)} {content}\n".encode())
        return digest.hexdigest()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise UserError("dataset", f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError("dataset", f"{path}: damaged ({error})") from error


def _shards(name: str, folder: Path, info: Any) -> dict[str, tuple[Shard, ...]]:
    file_format = info.get("fileFormat", "tfrecord")
    if file_format != "array_record":
        # TFDS's name for the folder: <data_dir>/<name>/<version>.
        root = folder.parents[name.count("/") + 1]
        raise UserError(
            "dataset",
            f"{name!r} in {folder} is in {file_format} form, and array_record is "
            f"needed; move it away and run: {locating.prepare_command(name, root)}",
        )
    splits = {split["name"]: split for split in info["splits"]}
    missing = [split_name for split_name in _SPLITS if split_name not in splits]
    if missing:
        raise UserError(
            "dataset",
            f"{name!r} has no split {missing[0]!r}, only {', '.join(sorted(splits))}",
        )
    return {
        split_name: _split_shards(folder, info["name"], splits[split_name])
        for split_name in _SPLITS
    }


def _split_shards(folder: Path, dataset: str, split: Any) -> tuple[Shard, ...]:
    template = split.get("filepathTemplate") or _TEMPLATE
    lengths = [int(length) for length in split["shardLengths"]]
    return tuple(
        Shard(
            folder
            / template.format(
                DATASET=dataset,
                SPLIT=split["name"],
                FILEFORMAT="array_record",
                SHARD_INDEX=f"{index:05d}",
                NUM_SHARDS=f"{len(lengths):05d}",
                SHARD_X_OF_Y=f"{index:05d}-of-{len(lengths):05d}",
            ),
            length,
        )
        for index, length in enumerate(lengths)
    )


def _supervised_keys(info: Any) -> tuple[str, str]:
    items = info.get("supervisedKeys", {}).get("tuple", {}).get("items", [])
    keys = [item.get("featureKey") for item in items]
    return tuple(keys) if len(keys) == 2 and all(keys) else ("image", "label")


def _check_kind(name: str, features: Any, image_key: str, label_key: str) -> None:
    image = features.get(image_key, {}).get("image")
    label = features.get(label_key, {}).get("classLabel")
    if image is None or label is None:
        raise UserError(
            "dataset",
            f"{name!r} is not an image classification set: it maps "
            f"{', '.join(sorted(features))}, and an image and a class label are needed",
        )
    dtype = image.get("dtype", "uint8")
    if dtype != "uint8":
        raise UserError("dataset", f"{name!r} has {dtype} images; uint8 is needed")


def _class_names(path: Path, num_classes: int) -> tuple[str, ...]:
    """The names that TFDS stored, or the numbers where it stored none that fit."""
    try:
        names = tuple(path.read_text().split("\n"))
    except OSError:
        names = ()
    if names and not names[-1]:
        names = names[:-1]
    if len(names) == num_classes:
        return names
    return tuple(str(label) for label in range(num_classes))

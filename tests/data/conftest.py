"""Tiny sets in TFDS's array_record form, written without TensorFlow."""

import io
import json
import warnings

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def pictures():
    """Two shards of train and one of test, as (images, labels) by split."""
    generator = np.random.default_rng(7)
    return {
        split: (
            generator.integers(0, 256, (count, 6, 5, 3), np.uint8),
            generator.integers(0, 4, count).astype(np.int32),
        )
        for split, count in (("train", 30), ("test", 12))
    }


@pytest.fixture
def write_set(tmp_path, pictures):
    """Writes `pictures` as a prepared set; returns (data_dir, version folder)."""

    def write(name="shapes", version="1.0.0", *, pictures=pictures, **changes):
        folder = tmp_path / "sets" / name / version
        folder.mkdir(parents=True)
        splits = [
            _write_split(folder, name.split("/")[0], split, *pictures[split])
            for split in pictures
        ]
        info = {
            "name": name.split("/")[0],
            "version": version,
            "fileFormat": "array_record",
            "moduleName": "__main__",
            "splits": splits,
            "supervisedKeys": {
                "tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}
            },
        }
        info.update(changes)
        (folder / "dataset_info.json").write_text(json.dumps(info))
        (folder / "label.labels.txt").write_text("one\ntwo\nthree\nfour\n")
        return str(tmp_path / "sets"), folder

    return write


def _write_split(folder, name, split, images, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_datasets as tfds
        from array_record.python import array_record_module

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(num_classes=4),
        }
    )
    features.save_config(folder)
    shards = np.array_split(np.arange(len(labels)), 2 if split == "train" else 1)
    for index, shard in enumerate(shards):
        path = folder / f"{name}-{split}.array_record-{index:05d}-of-{len(shards):05d}"
        writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
        for i in shard:
            writer.write(_example(images[i], labels[i]))
        writer.close()
    return {"name": split, "shardLengths": [str(len(shard)) for shard in shards]}


def _example(image, label):
    from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

    png = io.BytesIO()
    Image.fromarray(image).save(png, "png")
    feature = {
        "image": tf_feature_pb2.Feature(
            bytes_list=tf_feature_pb2.BytesList(value=[png.getvalue()])
        ),
        "label": tf_feature_pb2.Feature(
            int64_list=tf_feature_pb2.Int64List(value=[int(label)])
        ),
    }
    features = tf_feature_pb2.Features(feature=feature)
    return tf_example_pb2.Example(features=features).SerializeToString()

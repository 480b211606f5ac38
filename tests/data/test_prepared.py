import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import cnnlab.data
from cnnlab.data import decoded_cache, decoding, prepared
from cnnlab.errors import UserError

SPLITS = ("train", "test")


def assert_same_splits(dataset, pictures):
    for split in SPLITS:
        images, labels = pictures[split]
        np.testing.assert_array_equal(getattr(dataset, split).images, images)
        np.testing.assert_array_equal(getattr(dataset, split).labels, labels)


def refusal(*arguments, **keywords):
    with pytest.raises(UserError) as caught:
        cnnlab.data.load(*arguments, **keywords)
    message = str(caught.value)
    assert "\n" not in message
    return message


def damage(path, change):
    content = bytearray(path.read_bytes())
    path.write_bytes(change(content))


def flip_middle(content):
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(255 - b for b in content[middle:][:64])
    return content


def flip_first_records(content):
    content[100:400] = bytes(255 - b for b in content[100:400])
    return content


def test_a_set_known_only_by_its_files_comes_back_bit_for_bit(write_set, pictures):
    data_dir, _ = write_set()
    dataset = cnnlab.data.load("shapes", data_dir=data_dir)
    assert_same_splits(dataset, pictures)
    assert dataset.class_names == ("one", "two", "three", "four")
    assert dataset.image_shape == (6, 5, 3)


def test_chunks_join_in_order(write_set, pictures, monkeypatch):
    monkeypatch.setattr(decoding, "_CHUNK", 4)
    data_dir, _ = write_set()
    assert_same_splits(cnnlab.data.load("shapes", data_dir=data_dir), pictures)


def test_the_second_read_needs_neither_tfds_nor_jax(write_set, tmp_path):
    data_dir, _ = write_set()
    first = cnnlab.data.load("shapes", data_dir=data_dir)
    script = (
        "import sys, cnnlab.data, numpy as np\n"
        f"dataset = cnnlab.data.load('shapes', data_dir={data_dir!r})\n"
        f"np.save({str(tmp_path / 'second.npy')!r}, dataset.train.images)\n"
        "assert not {'tensorflow_datasets', 'jax'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    second = np.load(tmp_path / "second.npy")
    np.testing.assert_array_equal(second, first.train.images)


@pytest.mark.parametrize("file", ["train_images.npy", "test_labels.npy"])
@pytest.mark.parametrize("change", [flip_middle, lambda content: content[:-1]])
def test_a_damaged_cache_entry_is_rebuilt(write_set, pictures, tmp_path, file, change):
    data_dir, _ = write_set()
    fingerprint = cnnlab.data.load("shapes", data_dir=data_dir).fingerprint
    damage(tmp_path / "cache/cnnlab/datasets" / fingerprint / file, change)
    assert decoded_cache.read(fingerprint, SPLITS) is None
    assert_same_splits(cnnlab.data.load("shapes", data_dir=data_dir), pictures)
    assert decoded_cache.read(fingerprint, SPLITS) is not None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"train": 3}', "{"])
def test_damaged_digests_are_not_trusted(write_set, pictures, tmp_path, text):
    data_dir, _ = write_set()
    fingerprint = cnnlab.data.load("shapes", data_dir=data_dir).fingerprint
    entry = tmp_path / "cache/cnnlab/datasets" / fingerprint
    (entry / "digests.json").write_text(text)
    assert_same_splits(cnnlab.data.load("shapes", data_dir=data_dir), pictures)


def test_a_cache_that_cannot_be_written_is_no_error(
    write_set, pictures, tmp_path, monkeypatch
):
    data_dir, _ = write_set()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert_same_splits(cnnlab.data.load("shapes", data_dir=data_dir), pictures)


def test_nothing_temporary_is_left_in_the_cache(write_set, tmp_path):
    data_dir, _ = write_set()
    fingerprint = cnnlab.data.load("shapes", data_dir=data_dir).fingerprint
    entry = tmp_path / "cache/cnnlab/datasets" / fingerprint
    assert len(list(entry.iterdir())) == 5


def test_the_fingerprint_follows_the_content_and_not_the_place(write_set, tmp_path):
    data_dir, folder = write_set()
    first = cnnlab.data.load("shapes", data_dir=data_dir).fingerprint
    shutil.copytree(data_dir, tmp_path / "moved")
    moved = cnnlab.data.load("shapes", data_dir=str(tmp_path / "moved")).fingerprint
    info = json.loads((folder / "dataset_info.json").read_text())
    info["description"] = "changed"
    (folder / "dataset_info.json").write_text(json.dumps(info))
    changed = cnnlab.data.load("shapes", data_dir=data_dir).fingerprint
    assert first == moved != changed
    assert len(first) == 64 and int(first, 16)


def test_the_front_of_a_set_has_its_own_fingerprint(write_set, pictures):
    data_dir, _ = write_set()
    whole = cnnlab.data.load("shapes", data_dir=data_dir)
    front = cnnlab.data.load("shapes", data_dir=data_dir, train_examples=7)
    np.testing.assert_array_equal(front.train.images, pictures["train"][0][:7])
    np.testing.assert_array_equal(front.test.images, pictures["test"][0])
    assert front.fingerprint != whole.fingerprint
    every = cnnlab.data.load("shapes", data_dir=data_dir, train_examples=30)
    assert every.fingerprint == whole.fingerprint


def test_the_highest_version_is_read(write_set, pictures):
    write_set(version="9.0.0")
    data_dir, folder = write_set(version="10.0.0")
    (folder.parent / "11.0.0.incomplete").mkdir()
    assert prepared.locating.find("shapes", data_dir) == folder


def test_where_nothing_is_prepared_the_command_to_prepare_it_is_told(tmp_path):
    told = f"'mnist' is not prepared: looked in {tmp_path}/mnist; prepare it with:"
    with pytest.raises(UserError, match=re.escape(told)) as refused:
        cnnlab.data.load("mnist", data_dir=str(tmp_path))
    assert refused.value.argument == "dataset"


def test_a_configuration_is_a_folder_below(write_set, pictures):
    data_dir, _ = write_set("shapes/blurred")
    dataset = cnnlab.data.load("shapes/blurred", data_dir=data_dir)
    assert_same_splits(dataset, pictures)


def test_the_data_dir_may_come_from_the_environment(write_set, pictures, monkeypatch):
    data_dir, _ = write_set()
    monkeypatch.setenv("TFDS_DATA_DIR", data_dir)
    assert_same_splits(cnnlab.data.load("shapes"), pictures)


def test_a_tilde_is_the_home_folder(write_set, pictures, tmp_path, monkeypatch):
    write_set()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_same_splits(cnnlab.data.load("shapes", data_dir="~/sets"), pictures)


@pytest.mark.parametrize(
    "change",
    [
        flip_first_records,
        lambda content: content[: len(content) // 2],
        lambda content: content[:-70_000],
        lambda content: b"",
    ],
)
def test_a_damaged_record_file_is_named(write_set, change):
    data_dir, folder = write_set()
    path = folder / "shapes-train.array_record-00001-of-00002"
    damage(path, change)
    message = refusal("shapes", data_dir=data_dir)
    assert message.startswith("dataset: ") and str(path) in message


def test_a_missing_record_file_is_named(write_set):
    data_dir, folder = write_set()
    path = folder / "shapes-test.array_record-00000-of-00001"
    path.unlink()
    assert str(path) in refusal("shapes", data_dir=data_dir)


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_damaged_description_is_one_line(write_set, file, text):
    data_dir, folder = write_set()
    (folder / file).write_text(text)
    assert str(folder) in refusal("shapes", data_dir=data_dir)


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_out_of_range_is_refused(write_set, pictures, label):
    images, labels = pictures["test"]
    labels = labels.copy()
    labels[5] = label
    data_dir, _ = write_set(pictures={**pictures, "test": (images, labels)})
    message = refusal("shapes", data_dir=data_dir)
    assert f"label {label} of example 5" in message and "0..3" in message


def test_images_of_several_shapes_are_refused(write_set, pictures):
    images, labels = pictures["train"]
    uneven = [*images[:-1], images[-1][:4]]
    data_dir, _ = write_set(pictures={**pictures, "train": (uneven, labels)})
    assert "several shapes" in refusal("shapes", data_dir=data_dir)


def test_a_set_without_test_split_is_refused(write_set, pictures):
    data_dir, _ = write_set(pictures={"train": pictures["train"]})
    assert "no split 'test'" in refusal("shapes", data_dir=data_dir)


def test_a_tfrecord_preparation_is_refused_with_the_command(write_set):
    data_dir, _ = write_set(fileFormat="tfrecord")
    message = refusal("shapes", data_dir=data_dir)
    assert "array_record" in message
    assert f"--dataset=shapes --data_dir={data_dir}" in message


def test_another_kind_of_set_is_refused(write_set):
    data_dir, folder = write_set()
    features = json.loads((folder / "features.json").read_text())
    inner = features["featuresDict"]["features"]
    inner["text"] = inner.pop("image")
    (folder / "features.json").write_text(json.dumps(features))
    message = refusal("shapes", data_dir=data_dir)
    assert "not an image classification set" in message


def test_a_set_that_is_not_prepared_gets_the_command(tmp_path):
    message = refusal("mnist", data_dir=str(tmp_path))
    assert str(tmp_path / "mnist") in message
    command = f"prepare_data --dataset=mnist --data_dir={tmp_path}"
    assert f"python -m experiments.{command}" in message


@pytest.mark.parametrize(
    ("name", "close"), [("mnits", "mnist"), ("glyph", "glyphs"), ("shape", "shapes")]
)
def test_an_unknown_name_gets_the_names_that_come_close(write_set, name, close):
    data_dir, _ = write_set()
    message = refusal(name, data_dir=data_dir)
    assert repr(name) in message and close in message.split("did you mean")[1]


@pytest.mark.parametrize("name", ["", "../sets/shapes", "/etc", "shapes/.."])
def test_a_path_is_no_name(write_set, name):
    data_dir, _ = write_set()
    assert "is unknown" in refusal(name, data_dir=data_dir)


@pytest.mark.parametrize("argument", ["train_examples", "test_examples"])
@pytest.mark.parametrize("size", [0, -3, 31])
def test_a_size_that_the_set_cannot_have_is_refused(write_set, argument, size):
    data_dir, _ = write_set()
    message = refusal("shapes", data_dir=data_dir, **{argument: size})
    assert message.startswith(f"{argument}: {size} ")


def test_prepared_images_cannot_be_resized(write_set):
    data_dir, _ = write_set()
    message = refusal("shapes", data_dir=data_dir, image_size=32)
    assert message.startswith("image_size: 32 ")

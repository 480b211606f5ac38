"""Stored predictions of several arms, as hits on one set of test images."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from cnnlab.run_layout import arm_directory

Predictions = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""By arm and seed: `logits`, `labels`, `index` and `dataset_fingerprint`."""

_KEYS = ("logits", "labels", "index", "dataset_fingerprint")


def load_predictions(
    workdir: str | Path, results: Mapping | None = None
) -> dict[str, dict[int, dict[str, Any]]]:
    """The stored predictions of every arm and seed of a finished run.

    Args:
        results: the run's results; None reads the results.json that it left.

    Raises:
        ValueError: a file that is missing or damaged.
    """
    workdir = Path(workdir)
    if results is None:
        results = _results(workdir / "results.json")
    return {
        arm["name"]: {
            seed["seed"]: _read(
                workdir
                / "predictions"
                / arm_directory(arm["spec"])
                / f"seed{seed['seed']}.npz"
            )
            for seed in arm["seeds"]
        }
        for arm in results["arms"]
    }


def hits(
    predictions: Predictions, seeds: Mapping[str, Sequence[int]]
) -> dict[str, Bool[np.ndarray, "seeds examples"]]:
    """Whether each net's largest logit is at the label.

    Args:
        seeds: the arms that are wanted, and the order of their seeds.

    Raises:
        ValueError: predictions that are missing, not finite or of unequal lengths, or
            nets that were tested on other images, or in another order.
    """
    found: dict[str, np.ndarray] = {}
    first, first_name = None, ""
    for arm, numbers in seeds.items():
        rows = []
        for number in numbers:
            name = f"{arm} seed {number}"
            net = _checked(predictions, arm, number)
            if first is None:
                first, first_name = net, name
            _check_same_images(first, first_name, net, name)
            rows.append(net["logits"].argmax(-1) == net["labels"])
        found[arm] = np.stack(rows)
    return found


def _checked(predictions: Predictions, arm: str, seed: int) -> dict[str, Any]:
    name = f"{arm} seed {seed}"
    net = predictions.get(arm, {}).get(seed)
    if net is None:
        raise ValueError(f"predictions of {name} are missing")
    absent = [key for key in _KEYS if key not in net]
    if absent:
        raise ValueError(f"predictions of {name} have no {', '.join(absent)}")
    logits, labels, index = (np.asarray(net[key]) for key in _KEYS[:3])
    if logits.ndim != 2 or not labels.shape == index.shape == logits.shape[:1]:
        raise ValueError(
            f"predictions of {name} have logits {logits.shape}, labels {labels.shape} "
            f"and index {index.shape}; (N, classes), (N,) and (N,) wanted"
        )
    if not np.isfinite(logits).all():
        raise ValueError(f"logits of {name} are not finite")
    fingerprint = str(net["dataset_fingerprint"])
    return dict(zip(_KEYS, (logits, labels, index, fingerprint), strict=True))


def _check_same_images(first, first_name, net, name) -> None:
    both = f"{first_name} and {name} were tested on"
    prints = [each["dataset_fingerprint"][:8] for each in (first, net)]
    if first["dataset_fingerprint"] != net["dataset_fingerprint"]:
        raise ValueError(f"{both} different data sets, {prints[0]} and {prints[1]}")
    sizes = [len(each["index"]) for each in (first, net)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"{both} {sizes[0]} and {sizes[1]} images; pairs need the same"
        )
    if not np.array_equal(first["index"], net["index"]):
        again = np.array_equal(np.sort(first["index"]), np.sort(net["index"]))
        what = "the same images in different orders" if again else "different images"
        raise ValueError(f"{both} {what}; pairs need one order")
    if not np.array_equal(first["labels"], net["labels"]):
        raise ValueError(f"{both} the same images with different labels")


def _results(path: Path) -> Mapping:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"'{path}' cannot be read: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        # NumPy leaves a damaged file open where it opened it itself.
        with open(path, "rb") as file:
            arrays = dict(np.load(file))
        return {**arrays, "dataset_fingerprint": str(arrays["dataset_fingerprint"])}
    except FileNotFoundError:
        raise ValueError(f"'{path}' is missing: no predictions") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"'{path}' cannot be read: {error}") from None

"""Downloads a TFDS image classification set and prepares it for `--dataset`.

The download is checked against TFDS's registered SHA-256 sums. This needs TensorFlow
(pip install -e '.[prepare]'); reading the set afterwards does not.

python -m experiments.prepare_data --dataset=mnist --data_dir=~/tensorflow_datasets
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

from cnnlab.data.prepare import prepare
from experiments.harness import flags


@dataclasses.dataclass(frozen=True)
class Config:
    """What to prepare, and where."""

    experiment: ClassVar[str] = "prepare_data"

    dataset: str = flags.field(
        "mnist",
        "TFDS name of the set, such as mnist, fashion_mnist, kmnist, cifar10, "
        "cifar100 or svhn_cropped",
    )
    data_dir: str | None = flags.field(
        None,
        "folder to prepare it in; none means $TFDS_DATA_DIR, or else "
        "~/tensorflow_datasets",
    )


def run(config: Config) -> Path:
    """The folder of the prepared set, which is also printed."""
    folder = prepare(config.dataset, config.data_dir)
    print(f"{config.dataset} is prepared in {folder}")
    return folder


if __name__ == "__main__":
    flags.main(Config, run, usage=__doc__)

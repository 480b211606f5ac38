"""Writes a trained net to one file, which says what it is.

The file has the variables under flat names ("params/Conv_0/kernel"), as they are, and
the model, its options, its classes and its images' scaling beside them. Both
cnnlab.models.load_pretrained and experiments.predict read it.

  python -m experiments.export --checkpoint=runs/a:max_pool:0 --output=a.safetensors
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

from cnnlab.errors import UserError
from experiments.harness import checkpoints, flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Which net, and where to."""

    experiment: ClassVar[str] = "export"

    checkpoint: str | None = flags.field(None, checkpoints.HELP)
    format: str = flags.field("safetensors", "of the file", choices=("safetensors",))
    output: str | None = flags.field(
        None, "file to write; none means <model>-<arm>-seed<seed>.safetensors, here"
    )
    overwrite: bool = flags.field(False, "replace a file that is there")

    def validate(self) -> None:
        """Raises UserError where no checkpoint is named."""
        if self.checkpoint is None:
            raise UserError("checkpoint", f"is needed, as {checkpoints.FORM}")


def run(config: Config) -> Path:
    """The file that was written.

    Raises:
        UserError: a net that cannot be read, or a file that cannot be written.
    """
    from cnnlab.models.pretrained import encode_weights
    from cnnlab.run_layout import arm_directory
    from experiments.harness.storage import write_whole

    config = flags.checked(config)
    _, variables, net = checkpoints.load(config.checkpoint)
    name = f"{net.description.model}-{net.arm}-seed{net.seed}"
    output = config.output or f"{arm_directory(name)}.safetensors"
    path = Path(output).expanduser()
    if path.exists() and not config.overwrite:
        raise UserError("output", f"'{path}' exists; --overwrite replaces it")
    try:
        write_whole(path, encode_weights(variables, net.description))
    except UserError as error:
        raise UserError("output", error.message) from error
    return path


def main(config: Config) -> None:
    """Writes the file, and prints its name and size."""
    path = run(config)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)

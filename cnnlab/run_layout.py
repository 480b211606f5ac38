"""Where a run's directory has what it keeps, for those who write it and who read it."""

import re
from pathlib import Path


def arm_directory(spec: str) -> str:
    """`spec` as the name of a file or directory."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", spec)


def checkpoints(workdir: Path, arm: str, seed: int) -> Path:
    """The folder of a net's checkpoints, which are named by their steps."""
    return workdir / "checkpoints" / arm_directory(arm) / f"seed{seed}"

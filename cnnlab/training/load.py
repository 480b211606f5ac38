"""Trained nets, from the directories of finished runs."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cnnlab import run_layout
from cnnlab.errors import UserError
from cnnlab.models.description import Description
from cnnlab.training import checkpoint
from cnnlab.training.checkpoint_index import Damaged
from cnnlab.training.evaluation import Images, Logits, predictor
from cnnlab.training.images_of_run import images_of
from cnnlab.training.orbax_arrays import one_line
from cnnlab.training.resident import Scaling

# Options of the model that all arms of a run share, where its configuration has them.
_SHARED = "boundary", "downsample"


@dataclasses.dataclass(frozen=True)
class NetConfig:
    """Which net of a run it is, and what it is.

    Attributes:
        arm: its spec.
        steps: of its training, so far.
        run: the run's configuration, as its flags have it.
    """

    arm: str
    seed: int
    steps: int
    run: Mapping[str, Any]
    description: Description


class Loaded(NamedTuple):
    """A trained net.

    `predict` takes uint8 images `[n, height, width, channels]` and gives float32
    logits, `variables` are what `config.description.create().apply` takes.
    """

    predict: Callable[[Images], Logits]
    variables: dict[str, Any]
    config: NetConfig


def load(
    workdir: str | os.PathLike,
    arm: str | None = None,
    seed: int | None = None,
    step: int | None = None,
) -> Loaded:
    """The net of a finished run, as `(predict, variables, config)`.

    Args:
        arm: the arm's spec, or its directory's name; None is the run's first.
        seed: None is the arm's first.
        step: after how many steps of training; None is its end.

    Raises:
        UserError: about `workdir`, `arm`, `seed` or `step`: a run that is not finished,
            is damaged, or has no such net.
    """
    path = Path(workdir).expanduser()
    results = _results(path)
    try:
        row = _arm(path, results["arms"], arm)
        run = _seed(path, row, seed)
        folder = run_layout.checkpoints(path, row["spec"], run["seed"])
        step = _step(folder, run["steps"], step)
        # The results have the digest of what the training ended with.
        wanted = run["params_hash"] if step == run["steps"] else None
        image_shape, class_names = images_of(path, results)
        stored, scaling = _restore(folder / str(step), wanted)
        description = Description(
            model=row["model"],
            num_classes=len(class_names),
            options=_options(row, results["config"]),
            image_shape=image_shape,
            class_names=class_names,
            mean=tuple(map(float, scaling.mean)),
            deviation=tuple(map(float, scaling.deviation)),
        )
    except UserError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            "workdir",
            f"'{path}' was written by another version ({error!r}); its command with "
            "--overwrite makes it again",
        ) from None
    config = NetConfig(row["spec"], run["seed"], step, results["config"], description)
    return Loaded(predictor(description.create(), stored, scaling), stored, config)


def _results(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise UserError("workdir", f"'{path}' is not a directory")
    try:
        results = json.loads((path / "results.json").read_bytes())
        complete = results.get("status") == "complete"
    except (OSError, ValueError, AttributeError):
        complete = False
    if not complete:
        raise UserError(
            "workdir",
            f"'{path}' holds no finished run; the command that began one goes on with "
            "it",
        )
    return results


def _arm(path: Path, rows: list, arm: str | None) -> dict[str, Any]:
    for row in rows:
        if arm in (None, row["spec"], run_layout.arm_directory(row["spec"])):
            return row
    specs = ", ".join(row["spec"] for row in rows)
    raise UserError("arm", f"'{arm}' is not in '{path}'; choose from {specs}")


def _seed(path: Path, row: dict[str, Any], seed: int | None) -> dict[str, Any]:
    for run in row["seeds"]:
        if seed in (None, run["seed"]):
            return run
    seeds = ", ".join(str(run["seed"]) for run in row["seeds"])
    raise UserError(
        "seed", f"{seed} is not among those of {row['spec']} in '{path}': {seeds}"
    )


def _step(folder: Path, last: int, step: int | None) -> int:
    if step in (None, last):
        return last
    there = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    steps = sorted(int(name) for name in there if name.isdecimal())
    if step not in steps:
        listed = ", ".join(map(str, steps)) or "none"
        raise UserError("step", f"{step} is not among those in '{folder}': {listed}")
    return step


def _options(row: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arm's model; in a comparison of pools its spec is one of them."""
    if "options" in row:
        return dict(row["options"])
    shared = {name: config.get(name) for name in _SHARED}
    given = {name: value for name, value in shared.items() if value is not None}
    return {"pool": row["spec"], **given}


def _restore(path: Path, params_hash: str | None) -> tuple[dict[str, Any], Scaling]:
    """The net at `path`, where its parameters are those of that digest."""
    try:
        stored = checkpoint.restore(path)
        net, scaling = checkpoint.net_of(stored), Scaling(**stored["scaling"])
        digest = checkpoint.params_hash(net["params"])
        whole = params_hash in (None, digest)
    except (Damaged, LookupError, TypeError) as error:
        raise UserError(
            "workdir", f"the checkpoint '{path}' cannot be read ({one_line(error)})"
        ) from error
    if not whole:
        raise UserError(
            "workdir", f"the checkpoint '{path}' is not the one that the run wrote"
        )
    return net, scaling

"""Which engine trains a run's seeds, and what its rounding depends on."""

import os
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from experiments.environment import environment
from experiments.workdir import WorkDirectory

# What the same bits need to be the same.
_ROUNDING = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "platform",
    "device_kind",
    "device_count",
    "cpu_threads",
    "xla_flags",
)


def refuse_other_model(config: Any) -> None:
    """Raises a UserError where the model or one of its options is none."""
    from cnnlab.models import create_model
    from cnnlab.ops.registry import parse_spec
    from experiments.training_plan import net_options

    options = net_options(config)
    for flag, given in (("model", {}), *((o, {o: options[o]}) for o in options)):
        try:
            create_model(config.model, **given)
        except (ValueError, TypeError) as error:
            raise UserError(flag, str(error)) from None
    written = parse_spec(config.model)[1]
    for option in ("pool", "boundary", "downsample", "dtype"):
        if option in written:
            raise UserError("model", f"{config.model} sets {option}; use --{option}")


def refuse_other_rounding(config: Any, directory: WorkDirectory) -> None:
    """Raises a UserError where going on could change a run's bits, unless allowed."""
    description = directory.description()
    began, now = description["environment"], environment()
    if not directory.resumed or config.allow_rounding:
        return
    engine = description.get("seed_engine")
    if engine and config.seed_engine not in ("auto", engine):
        began, now = began | {"engine": engine}, now | {"engine": config.seed_engine}
    for name in ("engine", *_ROUNDING):
        if began.get(name) != now.get(name):
            raise UserError(
                "allow_rounding",
                f"'{directory.path}' was begun with {name} {began.get(name)}, and this "
                f"is {now.get(name)}; --allow_rounding goes on, and its numbers may "
                "then differ by rounding",
            )


def choose(config: Any, directory: WorkDirectory, job, progress):
    """The engine of the run: what it began with, what the flag says, or the fastest.

    Raises:
        UserError: an engine that cannot serve here.
    """
    from cnnlab.training.engines import candidates
    from cnnlab.training.fastest import fastest

    serving = {e.name: e for e in candidates(job.task, len(job.seeds))}
    stored = directory.description().get("seed_engine")
    name = config.seed_engine
    if name == "auto" and stored in serving:
        return serving[stored]
    if name != "auto" and name not in serving:
        raise UserError(
            "seed_engine",
            f"'{name}' needs {_NEEDS[name]}; here serve auto, {', '.join(serving)}",
        )
    seconds = None
    if name == "auto" and len(serving) > 1:
        progress.log(f"timing {', '.join(serving)} for {len(job.seeds)} seeds")
        engine, seconds = fastest(
            list(serving.values()), job.start(), job.data(), job.orders(0)
        )
        name = engine.name
        told = ", ".join(f"{n} {1000 * s:.1f}" for n, s in seconds.items())
        progress.log(f"a step of all seeds takes, in ms: {told}; taking {name}")
    elif name == "auto":
        (name,) = serving
    directory.describe(seed_engine=name, seed_engine_seconds=seconds)
    return serving[name]


_NEEDS = {
    "map": "more than one seed",
    "vmap": "more than one seed",
    "devices": "more than one seed, and as many devices as divide their number",
}


def keep_compiled(folder: Path) -> None:
    """Makes JAX keep every program it compiles in `folder`, and look there first."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
    # By default quick compilations are left out, which are most of a run's.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def make_deterministic() -> None:
    """Asks a GPU for the same bits every time; a CPU gives them as it is."""
    flag = "--xla_gpu_deterministic_ops"
    if flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}=true"

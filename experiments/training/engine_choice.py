"""Which engine trains a run's seeds, and what its rounding depends on."""

from collections.abc import Mapping
from typing import Any

from cnnlab.errors import UserError
from experiments.harness import numerics
from experiments.harness.environment import STORES, environment
from experiments.harness.workdir import WorkDirectory

# Of a run's environment, what cannot change its bits.
_BESIDE = "date", "python", "system", *STORES
_NEEDS = {
    "map": "more than one seed",
    "vmap": "more than one seed",
    "devices": "more than one seed, and as many devices as divide their number",
}


def refuse_other_rounding(config: Any, directory: WorkDirectory) -> list[str]:
    """What differs from how a run began, in a line each, where it is allowed to.

    The directory then describes the environment of now, and keeps those before it.
    Where the run has no checkpoint yet it begins as of now, its engine to be chosen.

    Raises:
        UserError: going on could change the run's bits, and that is not allowed.
    """
    described, now = directory.description(), environment()
    began = described["environment"]
    engine = described.get("seed_engine")
    chosen = engine if config.seed_engine == "auto" else config.seed_engine
    there, here = _rounding(began), _rounding(now)
    differences = [
        f"{name} {there[name]}, and this is {here[name]}"
        for name in here
        if name in there and there[name] != here[name]
    ]
    if engine not in (None, chosen):
        differences.insert(0, f"seed_engine {engine}, and this is {chosen}")
    unknown = [name for name in here if name not in began]
    stores = [
        f"{name} {began[name]}, and this is {now[name]}"
        for name in STORES
        if name in began and began[name] != now[name]
    ]
    if not differences and not unknown and not stores:
        return []
    steps = (directory.path / "checkpoints").glob("*/*/*")
    if not any(step.name.isdecimal() for step in steps):
        # Nothing is there to go on from: what was fastest there need not be here.
        directory.describe(environment=now, seed_engine=None, seed_engine_seconds=None)
        return []
    if differences and not config.allow_rounding:
        raise UserError(
            "allow_rounding",
            f"'{directory.path}' was begun with {differences[0]}; --allow_rounding "
            "goes on, and its numbers may then differ by rounding",
        )
    earlier = described.get("earlier_environments", [])
    earlier = [*earlier, {**began, "seed_engine": engine}]
    directory.describe(environment=now, earlier_environments=earlier)
    told = [f"the run was begun with {each}" for each in (*differences, *stores)]
    if unknown:
        # An earlier version of this did not ask for them.
        told.append(
            f"the run does not say of {', '.join(unknown)} how it was begun; they are "
            "taken to have been as now"
        )
    return told


def _rounding(described: Mapping[str, Any]) -> dict[str, Any]:
    """What of an environment the same bits need to be the same."""
    found = {name: value for name, value in described.items() if name not in _BESIDE}
    if "xla_flags" in found:
        found["xla_flags"] = numerics.without_order(found["xla_flags"])
    if found.get("platform") != "gpu":
        # All others keep one order as they are.
        found.pop(numerics.ONE_ORDER, None)
    if found.get("platform") != "cpu":
        # It feeds the others, and computes nothing.
        found.pop("cpu", None)
    return found


def mixed(directory: WorkDirectory) -> list[str]:
    """In a line, what of a run's environment was another in an earlier process, where
    its numbers may differ for it."""
    described = directory.description()
    now = _rounding(described["environment"])
    now["seed_engine"] = described.get("seed_engine")
    others = {
        name
        for earlier in map(_rounding, described.get("earlier_environments", ()))
        for name, value in now.items()
        if name in earlier and earlier[name] != value
    }
    if not others:
        return []
    return [
        f"Parts of the run were made under another {', '.join(sorted(others))} than "
        "its environment tells, and may differ by rounding from a run under one; "
        "config.json has them all."
    ]


def refuse_unfit(config: Any, job) -> None:
    """Raises a UserError where the engine that is asked for cannot serve here."""
    import jax

    names = ["auto", *_serving(job)]
    if config.seed_engine in names:
        return
    count, batch = jax.device_count(), job.recipe.batch_size
    others = f"here serve {', '.join(names)}"
    if batch % count:
        others += f", with a batch_size that {count} devices share evenly, not {batch}"
    raise UserError(
        "seed_engine",
        f"'{config.seed_engine}' needs {_NEEDS[config.seed_engine]}; {others}",
    )


def choose(config: Any, directory: WorkDirectory, job, progress):
    """The engine of the run: what the flag says, what it began with, or the fastest."""
    from cnnlab.training.fastest import fastest

    engines = _serving(job)
    stored = directory.description().get("seed_engine")
    name = config.seed_engine
    if name == "auto" and stored in engines:
        name = stored
    if name == stored:
        return engines[name]
    seconds = None
    if name == "auto" and len(engines) > 1:
        progress.log(f"timing {', '.join(engines)} for {len(job.seeds)} seeds")
        engine, seconds = fastest(
            list(engines.values()), job.start(), job.data(), job.orders(0)
        )
        name = engine.name
        told = ", ".join(f"{n} {1000 * s:.1f}" for n, s in seconds.items())
        progress.log(f"a step of all seeds takes, in ms: {told}; taking {name}")
    elif name == "auto":
        (name,) = engines
    directory.describe(seed_engine=name, seed_engine_seconds=seconds)
    return engines[name]


def _serving(job) -> dict[str, Any]:
    """The engines that can serve a job's seeds here, by name."""
    from cnnlab.training.engines import candidates

    return {engine.name: engine for engine in candidates(job.task, len(job.seeds))}

"""The settings of JAX and XLA by which the same steps give other numbers."""

import os
import re
from collections.abc import Mapping
from typing import Any

ONE_ORDER = "xla_gpu_deterministic_ops"
"""XLA's flag by which a GPU adds up in the same order every time."""

_ASKED = re.compile(rf"--{ONE_ORDER}(=true|=1)?(\s|$)", re.IGNORECASE)

_OF_JAX = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_random_seed_offset",
    "jax_high_dynamic_range_gumbel",
    "jax_softmax_custom_jvp",
    "jax_use_direct_linearize",
    "jax_disable_jit",
)


def settings() -> dict[str, Any]:
    """JAX's options that change numbers, and whether XLA keeps one order of sums.

    What this version of JAX does not have is left out.
    """
    import jax

    found = {
        name: getattr(jax.config, name) for name in _OF_JAX if hasattr(jax.config, name)
    }
    return found | {ONE_ORDER: keeps_one_order()}


def ask_for_one_order() -> None:
    """Asks XLA for the same bits on a GPU too, unless its flags say otherwise.

    XLA reads them once, and where it has done so nothing changes.
    """
    given = os.environ.get("XLA_FLAGS")
    if ONE_ORDER in (given or ""):
        return
    os.environ["XLA_FLAGS"] = f"{given or ''} --{ONE_ORDER}=true".strip()
    if keeps_one_order() is not False:
        return
    # What is not in force is not to be read there as if it were.
    if given is None:
        del os.environ["XLA_FLAGS"]
    else:
        os.environ["XLA_FLAGS"] = given


def keeps_one_order() -> bool | None:
    """Whether XLA's flag for that is in force; None where XLA does not tell.

    Asked for the first time, XLA reads its flags.
    """
    try:
        from jax.extend.backend import get_compile_options

        options = get_compile_options(num_replicas=1, num_partitions=1)
        told = repr(options.executable_build_options.debug_options)
    except (ImportError, AttributeError, TypeError):
        return None
    # Flags that are off may be left out.
    return f"{ONE_ORDER}: true" in told if "xla_" in told else None


def advice(environment: Mapping[str, Any]) -> list[str]:
    """What to do before JAX starts, in a line, where a GPU's bits may not repeat.

    Nothing where XLA's flags say that they need not.
    """
    if environment["platform"] != "gpu" or environment[ONE_ORDER] is not False:
        return []
    if ONE_ORDER in environment["xla_flags"] and not _ASKED.search(
        environment["xla_flags"]
    ):
        return []
    return [
        "JAX ran before it could be told to add up in one order, so that the same run "
        f"may give other bits; set XLA_FLAGS=--{ONE_ORDER}=true before JAX's first "
        "computation"
    ]


def without_order(flags: str | None) -> str | None:
    """XLA's flags but for the one about the order of sums."""
    if flags is None:
        return None
    return " ".join(word for word in flags.split() if ONE_ORDER not in word)

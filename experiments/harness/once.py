"""A run that is finished is not run again: its work directory has what it gave."""

import time
from collections.abc import Callable
from typing import Any

from experiments.harness import flags, numerics
from experiments.harness.workdir import stored_results

Results = dict[str, Any]


def made_once(config: Any, make: Callable[[Any], Results]) -> Results:
    """The content of results.json, stored or else what `make` gives of the config.

    Raises:
        UserError: a flag that cannot be used.
    """
    config = flags.checked(config)
    stored = stored_results(config)
    return make(config) if stored is None else stored


def trained_once(
    config: Any, began: float | None, make: Callable[[Any, float], Results]
) -> Results:
    """As `made_once`, of what trains nets, under its settings of JAX and XLA.

    Args:
        began: when the command did, by `time.perf_counter`; None is now.
        make: takes the config and `began`.
    """

    def trained(config: Any) -> Results:
        start = time.perf_counter() if began is None else began
        numerics.ask_for_one_order()
        if config.dtype != "float64":
            return make(config, start)
        import jax

        with jax.enable_x64(True):
            return make(config, start)

    return made_once(config, trained)

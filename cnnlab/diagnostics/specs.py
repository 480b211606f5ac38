"""What a number is called: the call that gives it again."""

import numpy as np


def spec_of(name: str, **options) -> str:
    """`name(option=value, ...)`, which `cnnlab.diagnostics.measuring.measure` takes."""
    listed = ", ".join(
        f"{option}={plain(value)!r}" for option, value in options.items()
    )
    return f"{name}({listed})"


def plain(value):
    """The value, in Python's own numbers where it has NumPy's."""
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value

"""What the trainer knows about devices. Nothing else in the library asks."""

import jax


def platform() -> str:
    """The platform that computations run on by default: "cpu", "gpu" or "tpu"."""
    return jax.default_backend()


def loops_are_fast(platform: str) -> bool:
    """Whether many steps belong in one compiled loop rather than in single calls.

    A loop spares an accelerator the host's round trip for every step. On a CPU that
    trip is short, and XLA runs a convolution inside a loop many times slower than
    outside (BUILD_NOTES.md has the measurement).
    """
    return platform != "cpu"

"""The programs that JAX has compiled, kept for the next process."""

import contextlib
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

from experiments.harness.storage import make_directory, storing

_IN_USE = "in_use"


@contextlib.contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Within it JAX keeps every program it compiles in `folder`, and looks there first.

    Afterwards it does as before.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    wanted = {
        "jax_compilation_cache_dir": str(folder.absolute()),
        # By default quick compilations are left out, which are most of a run's.
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in wanted}

    def use(values):
        for name, value in values.items():
            jax.config.update(name, value)
        # The folder is looked up once, at the first compilation.
        compilation_cache.reset_cache()

    make_directory(folder)
    with storing(folder):
        _drop_torn(folder)
        (folder / _IN_USE).touch()
    use(wanted)
    try:
        with warnings.catch_warnings():
            # What cannot be kept or read is compiled again.
            said = "Error (reading|writing) persistent compilation cache entry"
            warnings.filterwarnings("ignore", said)
            yield
        with storing(folder):
            (folder / _IN_USE).unlink(missing_ok=True)
    finally:
        use(before)


def _drop_torn(folder: Path) -> None:
    """Removes what a process that did not come to its end may have half written.

    JAX writes programs in place, and never again those that are there.
    """
    if not (folder / _IN_USE).exists():
        return
    entries = sorted(folder.glob("*-cache"), key=lambda entry: entry.stat().st_mtime_ns)
    for entry in entries:
        newest = entry is entries[-1]
        if not entry.stat().st_size or newest and not _is_whole(entry):
            entry.unlink()


def _is_whole(entry: Path) -> bool:
    """Whether a program is known to be whole; JAX may have compressed it otherwise."""
    try:
        zlib.decompress(entry.read_bytes())
    except zlib.error:
        return False
    return True

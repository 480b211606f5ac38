"""The programs that a run keeps for the next process."""

import os
import shutil
import zlib

import jax
import pytest
from small_training import interrupt, run, spare

from cnnlab import training
from experiments.harness import compile_cache

pytestmark = pytest.mark.usefixtures("small")


@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path, monkeypatch):
    """Neither one that goes on nor one that has to begin again."""
    monkeypatch.undo()
    workdir = tmp_path / "run"
    folder = workdir / "compile_cache"
    spare(monkeypatch, folder)
    jax.clear_caches()
    with monkeypatch.context() as patch:
        patch.setattr(training, "predictor", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(workdir, validation_fraction=0.0)
    jax.clear_caches()
    first = run(workdir, validation_fraction=0.0)
    # Its nets had only to be scored.
    assert first["programs_compiled"] is None
    kept = {path.name for path in folder.glob("*-cache")}
    # Quick compilations are among them.
    assert len(kept) > 20
    for removed in ("results.json", "metrics.jsonl"):
        (workdir / removed).unlink()
        shutil.rmtree(workdir / "checkpoints")
        (workdir / "checkpoints").mkdir()
        jax.clear_caches()
        again = run(workdir, validation_fraction=0.0)
        assert again["programs_compiled"] == 0 < again["compile_seconds"]
        assert {path.name for path in folder.glob("*-cache")} == kept
        (workdir / "metrics.jsonl").touch()


def test_a_program_that_was_half_written_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.undo()
    whole, torn, empty = (tmp_path / f"{name}-cache" for name in "abc")
    whole.write_bytes(zlib.compress(b"program"))
    empty.touch()
    torn.write_bytes(zlib.compress(b"another")[:-3])
    os.utime(empty, (0, 0))
    os.utime(whole, (1, 1))
    before = jax.config.jax_compilation_cache_dir
    with compile_cache.kept_in(tmp_path):
        # All processes before came to their end.
        assert whole.exists() and torn.exists() and empty.exists()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    assert jax.config.jax_compilation_cache_dir == before
    with pytest.raises(KeyboardInterrupt), compile_cache.kept_in(tmp_path):
        interrupt()
    with compile_cache.kept_in(tmp_path):
        assert whole.exists() and not torn.exists() and not empty.exists()

"""The programs that a run keeps for the next process."""

import os
import shutil
import zlib

import jax
import pytest
from small_training import count_steps, facts, interrupt, run, spare

from experiments.harness import compile_cache
from experiments.harness.preemption import Terminated

pytestmark = pytest.mark.usefixtures("small")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"validation_fraction": 0.0},
        {"seed_engine": "map", "optimizer": "adadelta", "patience": 9},
    ],
    ids=["loop", "map"],
)
def test_a_second_start_compiles_nothing(tmp_path, monkeypatch, changes):
    """Neither one that goes on nor one that has to begin again."""
    monkeypatch.undo()
    workdir = tmp_path / "run"
    folder = workdir / "compile_cache"
    spare(monkeypatch, folder)
    jax.clear_caches()
    # In the middle of the second epoch of four steps.
    with monkeypatch.context() as patch, pytest.raises(Terminated):
        count_steps(patch, terminated_after=6)
        run(workdir, **changes)
    assert len(kept(folder)) > 20
    made = count_steps(monkeypatch)
    results = assert_starts_compiled(workdir, changes)
    assert made == list(range(6, 11))
    # All that a run takes is there now.
    programs = kept(folder)
    for removed in (["results.json"], ["results.json", "metrics.jsonl"]):
        made.clear()
        for name in removed:
            (workdir / name).unlink()
        shutil.rmtree(workdir / "checkpoints")
        (workdir / "checkpoints").mkdir()
        assert facts(assert_starts_compiled(workdir, changes)) == facts(results)
        assert made == list(range(11))
        assert kept(folder) == programs


def assert_starts_compiled(workdir, changes):
    """The results of what goes on as if in another process."""
    jax.clear_caches()
    results = run(workdir, **changes)
    assert results["programs_compiled"] == 0 < results["compile_seconds"]
    return results


def kept(folder):
    return {path.name for path in folder.glob("*-cache")}


@pytest.mark.slow
def test_what_no_start_came_to_is_compiled_by_the_next(tmp_path, monkeypatch):
    """Asked to stop as an epoch ends, a run leaves it to the next one to validate."""
    monkeypatch.undo()
    workdir = tmp_path / "run"
    spare(monkeypatch, workdir / "compile_cache")
    jax.clear_caches()
    with monkeypatch.context() as patch, pytest.raises(Terminated):
        count_steps(patch, terminated_after=4)
        run(workdir)
    jax.clear_caches()
    made = count_steps(monkeypatch)
    assert run(workdir)["programs_compiled"] > 0
    assert made == list(range(4, 11))


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

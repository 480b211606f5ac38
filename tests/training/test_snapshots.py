"""The checkpoints of a run: whole, kept as promised, and never wrong."""

import contextlib
import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bits import bits

from cnnlab.errors import UserError
from cnnlab.training import checkpoint, orbax_arrays
from cnnlab.training.snapshots import Snapshots


def tree(step):
    noise = np.random.default_rng(step)
    return {
        "params": {"w": noise.normal(size=(7, 5)).astype(np.float32), "b": np.ones(3)},
        "half": jnp.asarray(noise.normal(size=9), jnp.bfloat16),
        "step": np.int32(step),
    }


def saved(folder, *steps, keep=9):
    with Snapshots(folder, keep=keep) as snapshots:
        for step in steps:
            snapshots.save(step, tree(step), metadata={"epoch": step // 10})
    return folder


def restored(folder, like=None):
    """What is restored, and what is said of damage."""
    said = []
    with Snapshots(folder) as snapshots:
        return snapshots.restore(like, said.append), said


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


class Gate:
    """Holds every save until it is opened, and counts those under way."""

    def __init__(self, monkeypatch):
        self.open = threading.Event()
        self.began, self.busy, self.busiest = 0, 0, 0
        monkeypatch.setattr(checkpoint, "save", self.save)

    def save(self, *arguments, save=checkpoint.save):
        self.began += 1
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        assert self.open.wait(60)
        save(*arguments)
        self.busy -= 1


@pytest.fixture
def gate(monkeypatch):
    return Gate(monkeypatch)


@pytest.fixture
def refusing(monkeypatch):
    """A function after whose call no array can be written, for the reason given."""

    def refuse(number):
        def write(path, tree):
            raise OSError(number, os.strerror(number), str(path))

        monkeypatch.setattr(checkpoint, "write_arrays", write)

    return refuse


def test_the_newest_is_restored_with_its_metadata(tmp_path):
    found, said = restored(saved(tmp_path / "run", 10, 20), tree(0))
    assert (found.step, found.metadata, said) == (20, {"epoch": 2}, [])
    assert bits(found.tree) == bits(tree(20))


def test_one_step_is_restored_by_its_number(tmp_path):
    with Snapshots(saved(tmp_path, 10, 20)) as snapshots:
        assert bits(snapshots.restore_step(10).tree) == bits(tree(10))
        with pytest.raises(UserError, match="no checkpoint of step 15, only 10, 20"):
            snapshots.restore_step(15)


def test_there_is_nothing_to_restore_at_first(tmp_path):
    assert restored(tmp_path / "nowhere") == (None, [])


def test_another_tree_is_refused(tmp_path):
    other = {**tree(0), "half": np.ones(9)}
    with pytest.raises(UserError, match=r"half is bfloat16\[9\], where float64\[9\]"):
        restored(saved(tmp_path, 10), other)


def test_what_is_saved_is_what_the_buffers_held_then(tmp_path, gate):
    host = np.arange(5.0)
    device = jax.device_put(np.arange(1000, dtype=np.float32))
    double = jax.jit(lambda x: 2 * x, donate_argnums=0)
    with Snapshots(tmp_path) as snapshots:
        snapshots.save(1, {"host": host, "device": device})
        host[:] = -1
        for _ in range(3):
            device = double(device)
        device.block_until_ready()
        gate.open.set()
    expected = {"host": np.arange(5.0), "device": np.arange(1000, dtype=np.float32)}
    assert bits(restored(tmp_path)[0].tree) == bits(expected)


def test_saving_returns_before_the_write_has_ended(tmp_path, gate):
    with Snapshots(tmp_path) as snapshots:
        snapshots.save(1, tree(1))
        assert snapshots.steps == ()
        gate.open.set()
        snapshots.wait()
        assert snapshots.steps == (1,)


def test_one_write_is_under_way_at_a_time(tmp_path, gate):
    with Snapshots(tmp_path, keep=9) as snapshots:
        snapshots.save(1, tree(1))
        second = threading.Thread(target=snapshots.save, args=(2, tree(2)))
        second.start()
        second.join(0.05)
        assert second.is_alive() and gate.began <= 1
        gate.open.set()
        second.join()
        for step in range(3, 6):
            snapshots.save(step, tree(step))
    assert gate.busiest == 1
    assert names(tmp_path) == ["1", "2", "3", "4", "5"]


def test_several_runs_may_write_at_once(tmp_path):
    runs = [tmp_path / str(number) for number in range(4)]
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(Snapshots(run)) for run in runs]
        for step in range(1, 5):
            for number, store in enumerate(stores):
                store.save(step, tree(10 * number + step))
    for number, run in enumerate(runs):
        found, said = restored(run)
        assert (found.step, said) == (4, [])
        assert bits(found.tree) == bits(tree(10 * number + 4))


def test_leaving_waits_and_leaves_no_thread(tmp_path, gate):
    before = threading.enumerate()
    with pytest.raises(KeyError, match="^'the trainer'$"):
        with Snapshots(tmp_path) as snapshots:
            snapshots.save(1, tree(1))
            gate.open.set()
            raise KeyError("the trainer")
    assert names(tmp_path) == ["1"]
    assert threading.enumerate() == before


@pytest.mark.parametrize("keep", [1, 2])
def test_the_last_and_the_best_are_kept(tmp_path, keep):
    scores = [0.1, 0.7, None, 0.7, float("nan"), 0.2, 0.3, 0.9, 0.1]
    best = [1, 2, 2, 2, 2, 2, 2, 8, 8]
    for reopened in (False, True):
        folder = tmp_path / str(reopened)
        snapshots = Snapshots(folder, keep=keep)
        for step, score in enumerate(scores, 1):
            if reopened:
                snapshots.__exit__(None, None, None)
                snapshots = Snapshots(folder, keep=keep)
            snapshots.save(step, {"step": np.int32(step)}, score=score)
            snapshots.wait()
            last = range(max(1, step - keep + 1), step + 1)
            kept = {*last, *(best[each - 1] for each in last)}
            assert set(map(int, names(folder))) == kept == set(snapshots.steps)
        snapshots.__exit__(None, None, None)


def test_a_flipped_bit_is_found_or_does_no_harm(tmp_path):
    whole = saved(tmp_path / "whole", 1, 2)
    newest = files(whole / "2")
    draw = random.Random(0)
    found_out = 0
    for trial in range(40):
        run = shutil.copytree(whole, tmp_path / str(trial))
        path = run / newest[trial % len(newest)].relative_to(whole)
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        found, said = restored(run, tree(0))
        assert bits(found.tree) == bits(tree(found.step))
        assert found.step == 2 - len(said)
        found_out += len(said)
    assert found_out > 30


def test_a_file_cut_short_or_missing_is_found(tmp_path):
    whole = saved(tmp_path / "whole", 1, 2)
    for number, path in enumerate(files(whole / "2")):
        for size in (None, 0, path.stat().st_size - 1):
            run = shutil.copytree(whole, tmp_path / f"{number} {size}")
            damaged = run / path.relative_to(whole)
            damaged.unlink() if size is None else os.truncate(damaged, size)
            found, (line,) = restored(run, tree(0))
            assert bits(found.tree) == bits(tree(1))
            assert "checkpoint of step 2 " in line and "that of step 1 is used" in line
            assert "\n" not in line
            assert names(run) == ["1", "2.aside"]


def damage(folder, step):
    for path in files(folder / str(step)):
        path.write_bytes(b"\0" + path.read_bytes())


def test_a_damaged_step_can_be_saved_again(tmp_path, capfd):
    damage(saved(tmp_path, 1, 2), 2)
    for _ in range(2):
        assert restored(tmp_path)[0].step == 1
        saved(tmp_path, 2)
        assert names(tmp_path) == ["1", "2"]
        assert bits(restored(tmp_path)[0].tree) == bits(tree(2))
        damage(tmp_path, 2)
    assert capfd.readouterr() == ("", "")


def test_a_run_does_not_begin_anew_where_all_is_damaged(tmp_path):
    saved(tmp_path, 1, 2)
    damage(tmp_path, 1)
    damage(tmp_path, 2)
    for _ in range(2):
        said = []
        with Snapshots(tmp_path) as snapshots:
            with pytest.raises(UserError, match="^workdir: every checkpoint in "):
                snapshots.restore(on_damage=said.append)
        assert ["step 2" in said[0], "step 1" in said[1], len(said)] == [True, True, 2]
    with Snapshots(tmp_path) as snapshots:
        with pytest.raises(UserError, match="step 2 .* is damaged"):
            snapshots.restore_step(2)


def test_the_newest_up_to_a_step_is_found_and_nothing_is_touched(tmp_path):
    damage(saved(tmp_path, 1, 2, 3), 2)
    with Snapshots(tmp_path) as snapshots:
        for up_to, step, damaged in (
            (9, 3, []),
            (2, 1, [2]),
            (1, 1, []),
            (0, None, []),
        ):
            newest = snapshots.newest(tree(0), up_to)
            assert newest.restored is step or newest.restored.step == step
            assert list(newest.damaged) == damaged
            assert all("step 2 " in line for line in newest.damaged.values())
    assert names(tmp_path) == ["1", "2", "3"]


def test_what_is_set_aside_stays_until_the_run_has_come_as_far(tmp_path):
    saved(tmp_path, 1, 4, 8)
    with Snapshots(tmp_path) as snapshots:
        snapshots.set_aside_after(1)
        assert snapshots.steps == (1,)
        assert names(tmp_path) == ["1", "4.aside", "8.aside"]
        for step, kept in (
            (3, ["1", "3", "4.aside", "8.aside"]),
            (5, ["3", "5", "8.aside"]),
            (8, ["5", "8"]),
        ):
            snapshots.save(step, tree(step))
            snapshots.wait()
            assert names(tmp_path) == kept


def test_what_is_whole_and_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    damage(saved(tmp_path, 1, 2, 3), 3)
    before = {path: path.read_bytes() for path in files(tmp_path)}

    def unable(path):
        raise KeyError("another format")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "read_arrays", unable)
        with Snapshots(tmp_path) as snapshots:
            for call in (snapshots.restore, lambda: snapshots.restore_step(2)):
                with pytest.raises(UserError, match="/2' are whole, but orbax-") as no:
                    call()
                assert "\n" not in str(no.value)
    assert {path: path.read_bytes() for path in files(tmp_path)} == before
    found, (line,) = restored(tmp_path)
    assert found.step == 2 and "checkpoint of step 3 " in line


def test_leftovers_of_a_killed_process_go(tmp_path):
    saved(tmp_path, 1)
    shutil.copytree(tmp_path / "1", tmp_path / "2.partial" / "whole")
    assert restored(tmp_path)[0].step == 1
    assert names(tmp_path) == ["1"]


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT]
)
def test_a_write_that_fails_is_one_line_of_the_next_call(tmp_path, refusing, number):
    saved(tmp_path, 10)
    calls = (lambda s: s.save(30, tree(30)), Snapshots.wait, Snapshots.restore, None)
    refusing(number)
    for call in calls:
        with pytest.raises(UserError) as failed:
            with Snapshots(tmp_path) as snapshots:
                snapshots.save(20, tree(20))
                if call:
                    call(snapshots)
        line = str(failed.value)
        assert line.startswith("workdir: the checkpoint of step 20 cannot be ")
        assert f"({os.strerror(number)}); the last good one is that of st" in line
        assert line.endswith("of step 10") and "\n" not in line
        assert names(tmp_path) == ["10"]
    assert bits(restored(tmp_path)[0].tree) == bits(tree(10))


def test_a_run_may_go_on_after_a_write_that_failed(tmp_path, refusing, monkeypatch):
    with Snapshots(tmp_path) as snapshots:
        refusing(errno.ENOSPC)
        snapshots.save(1, tree(1))
        with pytest.raises(UserError, match="no good one before it"):
            snapshots.wait()
        monkeypatch.undo()
        snapshots.save(2, tree(2))
    assert names(tmp_path) == ["2"]


def test_a_write_that_fails_does_not_hide_what_ends_the_run(tmp_path, refusing):
    refusing(errno.ENOSPC)
    with pytest.raises(KeyError, match="^'the trainer'") as raised:
        with Snapshots(tmp_path) as snapshots:
            snapshots.save(1, tree(1))
            raise KeyError("the trainer")
    assert "checkpoint of step 1 cannot be written" in raised.value.__notes__[0]


@pytest.mark.parametrize("reserved", [True, False])
def test_a_file_that_may_not_grow_is_one_line(tmp_path, monkeypatch, capfd, reserved):
    if not reserved:
        monkeypatch.setattr(orbax_arrays, "_reserve", lambda path, size: None)
    saved(tmp_path, 1)
    large = {"w": np.random.default_rng(0).bytes(6_000_000)}
    large = {"w": np.frombuffer(large["w"], np.uint8)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Snapshots(tmp_path) as snapshots:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, limits[1]))
        try:
            snapshots.save(2, large)
            with pytest.raises(UserError, match=r"of step 2 .*\(File too large\)"):
                snapshots.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == ["1"]
    assert bits(restored(tmp_path)[0].tree) == bits(tree(1))
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, where one can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [False, True])
def test_a_disk_that_fills_or_closes_half_way(small_disk, capfd, read_only):
    noise = np.random.default_rng(0)
    last, kind = None, "Read-only file system" if read_only else "No space left"
    with pytest.raises(UserError, match=kind) as failed:
        with Snapshots(small_disk / "run", keep=99) as snapshots:
            for step in range(1, 99):
                if read_only and step == 3:
                    remount = ["mount", "-o", "remount,ro", str(small_disk)]
                    subprocess.run(remount, check=True)
                state = {str(i): noise.bytes(8000) for i in range(20)}
                state = {k: np.frombuffer(v, np.uint8) for k, v in state.items()}
                snapshots.save(step, state)
                snapshots.wait()
                last = step, bits(state)
    assert last[0] >= 2
    assert str(failed.value).endswith(f"the last good one is that of step {last[0]}")
    found, said = restored(small_disk / "run")
    assert (found.step, bits(found.tree), said) == (*last, [])
    assert capfd.readouterr() == ("", "")


KILLED = """
import os, random, signal, sys, time
import numpy as np
import orbax.checkpoint
from cnnlab.training.snapshots import Snapshots

folder, kills = sys.argv[1], int(sys.argv[2])

def tree(step):
    noise = np.random.default_rng(step)
    return {str(i): noise.normal(size=300) for i in range(20)}

def go_on(told, tell):
    with Snapshots(__import__("pathlib").Path(folder)) as snapshots:
        found = snapshots.restore(on_damage=sys.exit)
        step = found.step if found else 0
        assert step >= told, f"{step} after {told}"
        for name, array in tree(step).items() if found else ():
            assert array.tobytes() == found.tree[name].tobytes(), step
        while tell is not None:
            step += 1
            snapshots.save(step, tree(step), score=-abs(step - 5))
            snapshots.wait()
            os.write(tell, b"%8d" % step)

draw, told = random.Random(0), 0
for kill in range(kills + 1):
    hear, tell = os.pipe()
    child = os.fork()
    if not child:
        go_on(told, tell if kill < kills else None)
        os._exit(0)
    os.close(tell)
    if kill < kills:
        told = int(os.read(hear, 8))
        time.sleep(draw.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
    while said := os.read(hear, 8):
        told = int(said)
    os.close(hear)
    status = os.waitpid(child, 0)[1]
    assert status == (signal.SIGKILL if kill < kills else 0), status
print(told)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_a_process_may_be_killed_at_any_moment(tmp_path, kills):
    # Forked, since to import anew takes longer than all the rest.
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(kills)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Snapshots(tmp_path) as snapshots:
        assert snapshots.steps[-1] >= int(done.stdout)

import numpy as np
import pytest
import stored_runs

from cnnlab.statistics import compare, load_predictions


@pytest.fixture
def workdir(tmp_path):
    """The folder of a finished run of two arms and three seeds."""
    hits, labels = stored_runs.drawn_hits(["max_pool", "lp_pool(p=3.0)"], 3, 40)
    stored_runs.write(tmp_path, *stored_runs.run_of(hits, labels))
    return tmp_path


def test_gives_what_was_stored(workdir):
    hits, labels = stored_runs.drawn_hits(["max_pool", "lp_pool(p=3.0)"], 3, 40)
    results, wanted = stored_runs.run_of(hits, labels)
    found = load_predictions(workdir)
    assert compare(results, found) == compare(results, wanted)
    for arm, seeds in wanted.items():
        for seed, arrays in seeds.items():
            for key in arrays:
                np.testing.assert_array_equal(found[arm][seed][key], arrays[key])


def test_reads_what_the_given_results_name(workdir):
    arm = {"name": "mine", "spec": "lp_pool(p=3.0)", "seeds": [{"seed": 2}]}
    assert list(load_predictions(workdir, {"arms": [arm]})["mine"]) == [2]


def test_says_which_file_is_missing_or_damaged(workdir):
    file = workdir / "predictions" / "lp_pool_p_3.0_" / "seed1.npz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="seed1.npz' cannot be read") as refusal:
        load_predictions(workdir)
    assert "\n" not in str(refusal.value)
    file.unlink()
    with pytest.raises(ValueError, match="seed1.npz' is missing"):
        load_predictions(workdir)
    (workdir / "results.json").unlink()
    with pytest.raises(ValueError, match="results.json' cannot be read"):
        load_predictions(workdir)

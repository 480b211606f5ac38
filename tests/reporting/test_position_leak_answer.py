from cnnlab.reporting import position_leak
from cnnlab.statistics import mean_interval


def arm(name, here, there):
    differences = [a - b for a, b in zip(here, there, strict=True)]
    return {
        "name": name,
        "test_accuracy": mean_interval(here)._asdict(),
        "elsewhere_accuracy": mean_interval(there)._asdict(),
        "leak": mean_interval(differences)._asdict(),
    }


def test_nets_that_guess_are_told_from_those_that_place_tells_nothing():
    seeing, guessing = [0.7, 0.72, 0.71], [0.5, 0.55, 0.5]
    arms = [
        arm("circular", seeing, seeing),
        arm("full", guessing, guessing),
        arm("valid", [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]),
    ]
    assert position_leak.answer({"arms": arms}).split(". ") == [
        "Under circular padding nets score the same wherever the squares are: place "
        "tells them nothing",
        "Under full padding nets score the same wherever the squares are: they may be "
        "guessing",
        "Under valid padding they lose 100.00 ± 0.00 points of accuracy where the "
        "other class is at home.",
    ]

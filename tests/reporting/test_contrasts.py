from cnnlab.reporting import contrasts


def row(difference, verdict, **changes):
    return {
        "of": "pool: blur_pool - max_pool",
        "metric": "test_accuracy",
        "difference": difference,
        "verdict": verdict,
        **changes,
    }


def test_the_answer_gives_each_choice_s_range_and_how_many_are_resolved():
    rows = [
        row(0.1, "resolved"),
        row(-0.025, "not resolved"),
        row(0.2, "resolved", metric="circular_consistency"),
        row(0.3, "equivalent", of="boundary: circular - zero"),
    ]
    assert contrasts.answer(rows) == (
        "Pool: blur_pool - max_pool: −2.50 to +10.00 points of test accuracy (1 of 2 "
        "resolved) and +20.00 points of consistency under circular shifts (1 of 1 "
        "resolved). Boundary: circular - zero: +30.00 points of test accuracy (0 of 1 "
        "resolved)."
    )

"""Small pictures show the set of shifts that they are of, no shift in the middle."""

import re

import numpy as np
import pytest

from cnnlab.reporting import lattice_maps


def rows(shifts):
    return ["".join(".#"[int(entry)] for entry in row) for row in shifts]


def drawn_in(svg, shape):
    """The entries that the path of a picture covers, drawn by hand."""
    picture = np.zeros(shape, int)
    path = re.search(r'<path d="([^"]*)"', svg).group(1)
    steps = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path)
    assert "".join("M{} {}h{}v1h-{}z".format(*step) for step in steps) == path
    for x, y, width, back in np.array(steps, int).reshape(-1, 4):
        assert width == back
        picture[y, x : x + width] += 1
    return picture


def told_by(letters, shape):
    """The dots of braille letters, by the order in which they are numbered."""
    places = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1)]
    picture = np.zeros((4 * len(letters), 2 * len(letters[0])), bool)
    for (line, column), _ in np.ndenumerate(np.zeros((len(letters), len(letters[0])))):
        code = ord(letters[line][column]) - 0x2800
        for dot, (down, right) in enumerate(places):
            picture[4 * line + down, 2 * column + right] = code >> dot & 1
    assert not picture[shape[0] :].any() and not picture[:, shape[1] :].any()
    return picture[: shape[0], : shape[1]]


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (2, 3), (6, 12)])
@pytest.mark.parametrize("density", [0, 0.3, 1])
def test_pictures_show_each_shift_at_its_distance_from_the_middle(shape, density):
    shifts = np.random.default_rng(0).random(shape) < density
    wanted = np.zeros(shape, bool)
    middle = [size // 2 for size in shape]
    for down, right in zip(*np.nonzero(shifts), strict=True):
        place = (np.array([down, right]) + middle) % shape
        wanted[tuple(place)] = True
    np.testing.assert_array_equal(
        drawn_in(lattice_maps.svg(rows(shifts), "x"), shape), wanted
    )
    np.testing.assert_array_equal(
        told_by(lattice_maps.braille(rows(shifts)), shape), wanted
    )


def test_pools_of_equal_sets_stand_together_the_largest_first():
    def certificate(pool, boundary, exact):
        count = sum(row.count("#") for row in exact)
        return {"pool": pool, "boundary": boundary, "exact": exact, "count": count}

    one, every = ["#.", ".."], ["##", "##"]
    results = {
        "pools": ["a", "b", "c", "d"],
        "certificates": [
            certificate("a", "zero", one),
            certificate("b", "zero", every),
            certificate("c", "zero", one),
        ],
    }
    groups = lattice_maps.alike(results)
    assert [group.pools for group in groups] == [["b"], ["a", "c"]]

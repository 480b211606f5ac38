import pytest

from cnnlab import text_table

HEADER = ["net", "%", "steps"]
ROWS = [["a", "99.5", "10"], ["a longer name", "8.25", "1000"]]


def test_columns_stand_below_one_another_and_numbers_end_there():
    assert text_table.ruled(HEADER, ROWS) == [
        "net            %     steps",
        "--------------------------",
        "a              99.5  10",
        "a longer name  8.25  1000",
    ]
    assert text_table.ruled(HEADER, ROWS, numbers=True) == [
        "net               %  steps",
        "--------------------------",
        "a              99.5     10",
        "a longer name  8.25   1000",
    ]


def test_a_name_without_room_has_a_line_of_its_own():
    assert text_table.ruled(HEADER, ROWS, numbers=True, width=20) == [
        "net     %  steps",
        "----------------",
        "a    99.5     10",
        "a longer name",
        "     8.25   1000",
    ]


@pytest.mark.parametrize("width", [1, 14, 80])
def test_every_cell_is_there_whatever_the_width(width):
    lines = text_table.ruled(HEADER, ROWS, width=width)
    words = " ".join([*HEADER, *(cell for row in ROWS for cell in row)]).split()
    assert " ".join(line for line in lines if set(line) != {"-"}).split() == words
    assert text_table.ruled(HEADER, [], width=width)[0].split() == HEADER

"""Image files: every size, depth and mode becomes the array that a network takes."""

import io

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.image_files import read_images
from cnnlab.errors import UserError

RAMP = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)


def stored(tmp_path, image, name="image.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_an_image_of_the_right_size_is_kept_to_the_bit(tmp_path):
    grey = stored(tmp_path, Image.fromarray(RAMP), "grey.png")
    (found,) = read_images([grey], (8, 8, 1))
    np.testing.assert_array_equal(found, RAMP[..., None])
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    path = stored(tmp_path, Image.fromarray(colours), "colours.png")
    (found,) = read_images([path], (8, 8, 3))
    np.testing.assert_array_equal(found, colours)


def test_images_come_in_the_order_of_their_paths(tmp_path):
    paths = [
        stored(tmp_path, Image.new("L", (9 + i, 12), 10 * i), f"{i}.png")
        for i in range(4)
    ]
    found = read_images(paths, (8, 8, 1))
    assert found.shape == (4, 8, 8, 1) and found.dtype == np.uint8
    assert found[:, 3, 3, 0].tolist() == [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("size", "scaled", "corner"),
    [
        # Width and height of the file, of what it is scaled to, and of what is cut off
        # at the left and the top, by hand from torchvision's documentation.
        ((500, 375), (341, 256), (58, 16)),
        ((375, 500), (256, 341), (16, 58)),
        ((224, 224), (256, 256), (16, 16)),
        ((100, 40), (640, 256), (208, 16)),
    ],
)
def test_the_crop_is_that_of_torchvisions_evaluation(tmp_path, size, scaled, corner):
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (size[1], size[0], 3), np.uint8)
    whole = Image.fromarray(noise)
    (found,) = read_images([stored(tmp_path, whole)], (224, 224, 3), margin=256 / 224)
    left, top = corner
    wanted = np.asarray(whole.resize(scaled, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found, wanted[top : top + 224, left : left + 224])


@pytest.mark.parametrize("size", [(13, 40), (40, 13), (3, 900), (1, 1), (8, 6)])
def test_a_crop_need_not_be_square(tmp_path, size):
    path = stored(tmp_path, Image.new("L", size, 77))
    found = read_images([path], (6, 8, 1))
    assert found.shape == (1, 6, 8, 1)
    assert (found == 77).all()


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    values = np.array([[0, 257, 256 * 128], [40_000, 65_534, 65_535]], np.uint16)
    path = stored(tmp_path, Image.fromarray(values))
    (found,) = read_images([path], (2, 3, 1))
    wanted = np.round(values / 65_535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(found[..., 0], wanted)
    (found,) = read_images([path], (2, 3, 3))
    np.testing.assert_array_equal(found, np.repeat(wanted[..., None], 3, -1))


def test_what_is_transparent_is_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    (found,) = read_images([stored(tmp_path, image)], (1, 2, 3))
    np.testing.assert_array_equal(found[0], [[200, 0, 0], [255, 255, 255]])


def test_a_palettes_transparent_colour_is_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    image.putpalette([0, 0, 0, 0, 0, 200])
    path = stored(tmp_path, image, transparency=0)
    (found,) = read_images([path], (1, 2, 3))
    np.testing.assert_array_equal(found[0], [[255, 255, 255], [0, 0, 200]])


def test_colours_become_grey_by_their_luminance(tmp_path):
    path = stored(tmp_path, Image.new("RGB", (2, 2), (200, 100, 50)))
    found = read_images([path], (2, 2, 1))
    assert abs(int(found[0, 0, 0, 0]) - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png_is_taken(tmp_path, mode):
    path = stored(tmp_path, Image.new(mode, (9, 9)))
    for channels in (1, 3):
        assert read_images([path], (8, 8, channels)).shape == (1, 8, 8, channels)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_mode_of_jpeg_is_taken(tmp_path, mode):
    path = stored(tmp_path, Image.new(mode, (9, 9)), "image.jpg")
    assert read_images([path], (8, 8, 3)).shape == (1, 8, 8, 3)


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    image = Image.fromarray(np.repeat(RAMP, 2, 0))
    exif = Image.Exif()
    # The row that is stored first is the picture's right side.
    exif[0x0112] = 6
    path = stored(tmp_path, image, exif=exif)
    (found,) = read_images([path], (8, 16, 1))
    np.testing.assert_array_equal(found[..., 0], np.rot90(np.repeat(RAMP, 2, 0), -1))


def png(tmp_path):
    path = stored(tmp_path, Image.fromarray(np.tile(RAMP, (20, 20))))
    return path.read_bytes()


def gif(tmp_path):
    content = io.BytesIO()
    Image.fromarray(RAMP).save(content, "GIF")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda _: b"", "is not an image; choose from PNG, JPEG, WEBP, BMP"),
        (lambda _: b"some text", "is not an image"),
        (gif, "is not an image"),
        (lambda tmp_path: png(tmp_path)[:300], "cannot be read: .*truncated"),
    ],
)
def test_a_file_that_is_no_image_is_told_by_its_name(tmp_path, content, message):
    fine = stored(tmp_path, Image.fromarray(RAMP), "fine.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes(content(tmp_path))
    with pytest.raises(UserError, match=f"^images: '{broken}' {message}") as error:
        read_images([fine, broken], (8, 8, 1))
    assert "\n" not in str(error.value)


def test_a_path_without_a_file_is_told(tmp_path):
    with pytest.raises(UserError, match="none.png' cannot be read: No such file"):
        read_images([tmp_path / "none.png"], (8, 8, 1))
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_images([tmp_path], (8, 8, 1))


def test_other_numbers_of_channels_are_refused(tmp_path):
    with pytest.raises(UserError, match="1 or 3 channels, and the network takes 5"):
        read_images([tmp_path / "none.png"], (8, 8, 5))

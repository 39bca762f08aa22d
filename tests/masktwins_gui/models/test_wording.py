import pytest

from masktwins_gui.models.wording import in_titles


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("training.crop_size = 3 is not possible", "“Crop size” = 3 is not possible"),
        ("set mask.block_size or training.crop_size.", "set “Block size” or “Crop size”."),
        ("there is no training.crop_sizes", "there is no training.crop_sizes"),
        ("see /data/training.steps.txt", "see /data/training.steps.txt"),
        ("nothing of ours", "nothing of ours"),
    ],
)
def test_settings_are_called_as_in_the_window(message, expected):
    assert in_titles(message) == expected

import torch
import torch.nn.functional as F

from core.networks.linear import LinearDecoder


def stages(*sizes):
    return [torch.randn(2, channels, *size) for channels, size in sizes]


def test_the_last_stage_alone_is_normalised_and_left_at_its_size():
    image, *layers = stages((3, (32, 48)), (5, (2, 3)), (5, (2, 3)))
    decoder = LinearDecoder([5])
    torch.testing.assert_close(
        decoder([image, *layers]), F.batch_norm(layers[-1], torch.zeros(5), torch.ones(5), training=True)
    )
    assert decoder.out_channels == 5


def test_a_pyramid_is_read_at_all_of_its_stages_from_the_finest():
    image, empty, *levels = stages((3, (32, 48)), (0, (16, 24)), (2, (8, 12)), (4, (4, 6)), (6, (2, 3)))
    decoder = LinearDecoder([2, 4, 6])
    joined = decoder([image, empty, *levels])
    assert joined.shape == (2, decoder.out_channels, 8, 12)
    parts = joined.split([2, 4, 6], dim=1)
    for level, part in zip(levels, parts, strict=True):
        normed = F.batch_norm(level, torch.zeros(level.shape[1]), torch.ones(level.shape[1]), training=True)
        torch.testing.assert_close(part, F.interpolate(normed, size=(8, 12), mode="bilinear", align_corners=False))


def test_stages_finer_than_it_was_made_for_are_left_out():
    image, fine, coarse = stages((3, (32, 48)), (2, (16, 24)), (4, (8, 12)))
    assert LinearDecoder([4])([image, fine, coarse]).shape == (2, 4, 8, 12)

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from core.configuration.choices import Architecture
from core.labels import LabelSpace
from core.networks.build import NetworkError, build_empty
from core.networks.hrda import Hrda
from core.networks.licences import NVIDIA
from core.pixels import Normalisation
from tests.core.networks.small import SMALL, assert_same, network, save_model

CELL = {
    Architecture.SEGFORMER: 4,
    Architecture.UNET: 1,
    Architecture.DEEPLABV3PLUS: 4,
    Architecture.DAFORMER: 4,
    Architecture.UPERNET: 4,
    Architecture.DPT: 2,
    Architecture.LINEAR: 16,
}


def space(num_classes):
    names = tuple(f"class {i}" for i in range(num_classes))
    return LabelSpace("test", names, tuple((i, i, i) for i in range(num_classes)))


@pytest.mark.parametrize("architecture", Architecture)
def test_logits_come_at_the_decoders_resolution(architecture):
    segmenter = network(architecture, SMALL[architecture])
    logits = segmenter(torch.zeros(2, 3, 64, 96))
    assert logits.shape == (2, 3, 64 // CELL[architecture], 96 // CELL[architecture])
    assert segmenter.logits_stride == CELL[architecture]
    assert all(module.training for module in segmenter.modules())  # measuring has not changed the mode


@pytest.mark.parametrize("architecture", Architecture)
def test_any_size_gives_what_the_padded_image_gives(architecture):
    segmenter = network(architecture, SMALL[architecture]).eval()
    image = torch.randn(1, 3, 50, 75)
    height, width = 64, {32: 96, 16: 80}[segmenter.stride]
    padded = torch.cat([image, image[:, :, -1:].expand(-1, -1, height - 50, -1)], 2)
    padded = torch.cat([padded, padded[..., -1:].expand(-1, -1, -1, width - 75)], 3)
    with torch.no_grad():
        expected = interpolate(segmenter(padded), size=(height, width), mode="bilinear", align_corners=False)
        expected = expected[..., :50, :75]
        assert torch.equal(segmenter(image), expected)


@pytest.mark.parametrize("architecture", Architecture)
def test_training_on_odd_sizes_reaches_every_parameter(architecture):
    segmenter = network(architecture, SMALL[architecture])
    has_pooling = architecture in (Architecture.DEEPLABV3PLUS, Architecture.UPERNET)
    segmenter(torch.randn(2 if has_pooling else 1, 3, 50, 75)).square().mean().backward()
    assert [name for name, p in segmenter.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in segmenter.parameters())
    assert any(p.grad.any() for p in segmenter.encoder.parameters())


@pytest.mark.parametrize("architecture", [Architecture.SEGFORMER, Architecture.DPT])
@pytest.mark.parametrize("size", [(64, 96), (50, 75)])
def test_features_can_be_changed_before_the_head(architecture, size):
    segmenter = network(architecture, SMALL[architecture]).eval()
    image, seen = torch.randn(1, 3, *size), []

    def keep(features, box):
        seen.append((features, box))
        return features

    def blank(features, _box):
        return [features[0], *(torch.zeros_like(feature) for feature in features[1:])]

    with torch.no_grad():
        expected = segmenter(image)
        assert torch.equal(segmenter(image, on_features=keep), expected)
        assert segmenter(image, on_features=blank).flatten(2).std(-1).max() < expected.flatten(2).std(-1).max()
    ((features, box),) = seen
    assert box is None
    assert features[0].shape[1] == 3
    assert features[0].shape[2] >= size[0]


def test_an_image_smaller_than_a_stride_is_taken():
    segmenter = network().eval()
    with torch.no_grad():
        assert segmenter(torch.zeros(1, 3, 5, 33)).shape == (1, 3, 5, 33)


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        (Architecture.SEGFORMER, "tu-pvt_v2_b0"),
        (Architecture.SEGFORMER, "mit_b0"),
        (Architecture.DAFORMER, "tu-pvt_v2_b0"),
        (Architecture.LINEAR, "tu-test_vit"),
    ],
)
def test_transformers_have_drop_path(architecture, encoder):
    segmenter = network(architecture, encoder)
    rates = [m.drop_prob for m in segmenter.modules() if hasattr(m, "drop_prob")]
    assert max(rates) == pytest.approx(0.1)


def test_mit_has_the_epsilons_of_the_released_network():
    segmenter = network(encoder="mit_b0")
    epsilons = {n: m.eps for n, m in segmenter.encoder.named_modules() if type(m).__name__ == "LayerNorm"}
    in_blocks = {e for n, e in epsilons.items() if "attn" not in n and "patch_embed" not in n}
    inside = {e for n, e in epsilons.items() if "attn" in n or "patch_embed" in n}
    assert (in_blocks, inside) == ({1e-6}, {1e-5})


def test_encoder_and_head_hold_every_parameter_once():
    segmenter = network()
    split = [*segmenter.encoder.parameters(), *segmenter.head.parameters()]
    assert {id(p) for p in split} == {id(p) for p in segmenter.parameters()}
    assert len(split) == len(list(segmenter.parameters()))


def test_the_seed_decides_the_weights():
    first, same, other = network(seed=1), network(seed=1), network(seed=2)
    name = "head.classifier.weight"
    assert torch.equal(first.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize(
    ("architecture", "encoder", "hrda"),
    [
        (Architecture.SEGFORMER, "tu-pvt_v2_b0", False),
        (Architecture.SEGFORMER, "mit_b0", False),
        (Architecture.UPERNET, "tu-swin_tiny_patch4_window7_224", False),
        (Architecture.DAFORMER, "tu-test_resnet", True),
        (Architecture.DPT, "tu-test_vit", False),
        (Architecture.LINEAR, "tu-vit_small_patch16_dinov3", False),
    ],
)
def test_an_empty_network_draws_nothing_and_takes_the_weights(architecture, encoder, hrda):
    segmenter = network(architecture, encoder, hrda=hrda).eval()
    state = torch.get_rng_state()
    empty = build_empty(segmenter.description, 3, segmenter.normalisation)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(empty) is type(segmenter)
    empty.load_state_dict(segmenter.state_dict())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(empty.eval()(image), segmenter(image))


def test_channels_last_gives_the_same():
    segmenter = network(Architecture.UNET).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = segmenter(image)
        segmenter.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        got = segmenter(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


# Encoders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "encoder", "said"),
    [
        (Architecture.DEEPLABV3PLUS, "tu-pvt_v2_b0", "resnet50"),
        (Architecture.SEGFORMER, "tu-vit_tiny_patch16_224", "tu-pvt_v2_b0"),
        (Architecture.UPERNET, "tu-test_vit", "take dpt, daformer or linear"),
        (Architecture.DPT, "tu-pvt_v2_b0", "dinov2"),
        (Architecture.SEGFORMER, "resnet-50", "did you mean"),
        (Architecture.SEGFORMER, "timm-regnetx_002", "tu-NAME"),
        (Architecture.UNET, "qqqq", "tu-pvt_v2_b0"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused_with_others_named(architecture, encoder, said):
    with pytest.raises(NetworkError, match=re.escape(repr(encoder))) as refused:
        network(architecture, encoder)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_licences_are_named():
    mit, pvt = network(encoder="mit_b0").description, network(encoder="tu-pvt_v2_b0").description
    assert NVIDIA in mit.code_licence
    assert "Apache-2.0" in pvt.code_licence
    assert "NVIDIA" not in pvt.code_licence


def test_hrda_goes_around_any_network():
    plain, twice = (network(Architecture.LINEAR, "tu-test_vit", hrda=hrda) for hrda in (False, True))
    assert not isinstance(plain, Hrda)
    assert isinstance(twice, Hrda)
    assert twice.description == replace(plain.description, hrda=True)
    with torch.no_grad():
        assert twice.eval()(torch.zeros(1, 3, 97, 131)).shape == (1, 3, 97, 131)


# Files -----------------------------------------------------------------------------------------


def test_a_bundle_gives_all_its_weights_and_its_normalisation(tmp_path):
    trained = network(seed=5)
    trained.normalisation = Normalisation((0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
    save_model(tmp_path / "bündel", trained, space(3))
    started = network(start=tmp_path / "bündel", seed=6)
    assert_same(started, trained)
    assert started.normalisation == trained.normalisation
    assert started.notes == ()


def test_another_number_of_classes_keeps_encoder_and_decoder(tmp_path, caplog):
    trained = network(seed=5)
    save_model(tmp_path, trained, space(3))
    started = network(start=tmp_path, num_classes=5, seed=6)
    assert_same(started.encoder, trained.encoder)
    assert_same(started.head.decoder, trained.head.decoder)
    assert started.head.classifier.weight.shape[0] == 5
    assert "other classes" in started.notes[0]
    assert started.notes[0] in caplog.text


def test_another_architecture_keeps_the_encoder(tmp_path):
    trained = network(Architecture.UNET, seed=5)
    save_model(tmp_path, trained, space(3))
    started = network(Architecture.SEGFORMER, start=tmp_path, seed=6)
    assert_same(started.encoder, trained.encoder)
    assert "only the encoder" in started.notes[0]


def test_another_encoder_is_refused(tmp_path):
    save_model(tmp_path, network(), space(3))
    with pytest.raises(NetworkError, match="tu-test_resnet"):
        network(encoder="resnet18", start=tmp_path)


def smp_names(name: str) -> str:
    return name.replace("head.decoder.", "decoder.").replace("head.classifier.", "segmentation_head.0.")


@pytest.mark.parametrize(
    ("rename", "container"),
    [
        (lambda name: name, None),
        (smp_names, "state_dict"),
        (lambda name: f"module.{smp_names(name)}", "model"),
    ],
)
def test_files_of_other_programs_are_understood(tmp_path, rename, container):
    trained = network(seed=5)
    state = {rename(name): tensor for name, tensor in trained.state_dict().items()}
    path = tmp_path / "weights.pth"
    torch.save({container: state, "epoch": 3} if container else state, path)
    assert_same(network(start=path, seed=6), trained)


@pytest.mark.parametrize("prefix", ["", "backbone.", "encoder."])
def test_an_encoder_alone_is_enough(tmp_path, prefix):
    trained = network(encoder="mit_b0", seed=5)
    save_file({prefix + n: t.clone() for n, t in trained.encoder.state_dict().items()}, tmp_path / "mit.safetensors")
    started = network(encoder="mit_b0", start=tmp_path / "mit.safetensors", seed=6)
    assert_same(started.encoder, trained.encoder)
    assert "unknown" in started.description.weights_licence


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil.txt"),))


@pytest.mark.parametrize("content", [b"", b"garbage", {"state_dict": {}}, {"a": Evil()}])
def test_files_that_hold_no_plain_weights_are_refused(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(NetworkError, match=r"weights\.pth"):
        network(start=path)
    assert not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors", "none"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(NetworkError, match=name):
        network(start=tmp_path / name)

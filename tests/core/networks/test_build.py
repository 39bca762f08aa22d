import re
import socket
import threading
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from core.config import Architecture, NetworkConfig
from core.labels import LabelSpace
from core.networks import weights
from core.networks.build import NetworkError, build, build_empty
from core.networks.licences import NVIDIA
from core.networks.store import save_model
from core.pixels import Normalisation

SMALL = {
    Architecture.SEGFORMER: "tu-pvt_v2_b0",
    Architecture.UNET: "tu-test_resnet",
    Architecture.DEEPLABV3PLUS: "tu-test_resnet",
}
CELL = {Architecture.SEGFORMER: 4, Architecture.UNET: 1, Architecture.DEEPLABV3PLUS: 4}


def network(architecture=Architecture.SEGFORMER, encoder="tu-test_resnet", start="none", num_classes=3, seed=0):
    torch.manual_seed(seed)
    return build(NetworkConfig(architecture=architecture, encoder=encoder, weights=str(start)), num_classes)


def space(num_classes):
    names = tuple(f"class {i}" for i in range(num_classes))
    return LabelSpace("test", names, tuple((i, i, i) for i in range(num_classes)))


@pytest.mark.parametrize("architecture", Architecture)
def test_logits_come_at_the_decoders_resolution(architecture):
    segmenter = network(architecture, SMALL[architecture])
    logits = segmenter(torch.zeros(2, 3, 64, 96))
    assert logits.shape == (2, 3, 64 // CELL[architecture], 96 // CELL[architecture])


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


def test_an_image_smaller_than_a_stride_is_taken():
    segmenter = network().eval()
    with torch.no_grad():
        assert segmenter(torch.zeros(1, 3, 5, 33)).shape == (1, 3, 5, 33)


@pytest.mark.parametrize("encoder", ["tu-pvt_v2_b0", "mit_b0"])
def test_transformers_have_drop_path(encoder):
    segmenter = network(encoder=encoder)
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


@pytest.mark.parametrize("encoder", ["tu-pvt_v2_b0", "mit_b0", "tu-swin_tiny_patch4_window7_224"])
def test_an_empty_network_draws_nothing_and_takes_the_weights(encoder):
    segmenter = network(encoder=encoder).eval()
    state = torch.get_rng_state()
    empty = build_empty(segmenter.description, 3, segmenter.normalisation)
    assert torch.equal(torch.get_rng_state(), state)
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


# The hub ---------------------------------------------------------------------------------------


def cache(folder: Path, repository: str, files: dict[str, bytes | dict]) -> None:
    """Lay files out as the hub's client keeps them."""
    base = folder / f"models--{repository.replace('/', '--')}"
    snapshot = base / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text("abc")
    for name, content in files.items():
        if isinstance(content, dict):
            save_file(content, snapshot / name)
        else:
            (snapshot / name).write_bytes(content)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """An empty hub cache, and connections that lead nowhere."""

    def refuse(*_args, **_kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("encoder", ["tu-pvt_v2_b0", "mit_b0"])
def test_without_a_network_one_sentence_comes_soon(no_network, encoder):
    start = time.monotonic()
    with pytest.raises(NetworkError) as refused:
        network(encoder=encoder, start="imagenet")
    assert time.monotonic() - start < 5
    assert "network.weights" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    answered = threading.Event()

    def wait(*_args, **_kwargs):
        answered.wait(1)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", wait)
    start = time.monotonic()
    assert not weights.can_reach("https://example.invalid", seconds=0.01)
    assert time.monotonic() - start < 0.9
    answered.set()


def test_the_proxy_is_asked_where_there_is_one(monkeypatch):
    asked = []

    class Connection:
        def close(self):
            pass

    def connect(address, timeout):
        asked.append(address)
        return Connection()

    monkeypatch.setenv("https_proxy", "http://proxy.local:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr(socket, "create_connection", connect)
    assert weights.can_reach("https://huggingface.co")
    assert asked == [("proxy.local", 3128)]


def test_cached_weights_of_timm_need_no_network(no_network):
    trained = network(encoder="tu-pvt_v2_b0", seed=5)
    names = {n.removeprefix("model."): t.clone() for n, t in trained.encoder.state_dict().items()}
    cache(
        no_network,
        "timm/pvt_v2_b0.in1k",
        {"model.safetensors": {n.replace("stages_", "stages."): t for n, t in names.items()}},
    )
    loaded = network(encoder="tu-pvt_v2_b0", start="imagenet", seed=6)
    for name, tensor in trained.encoder.state_dict().items():
        assert torch.equal(loaded.encoder.state_dict()[name], tensor), name
    assert loaded.description.weights == "imagenet"
    assert "apache" in loaded.description.weights_licence.lower()


def test_cached_weights_of_smp_bring_their_normalisation(no_network, monkeypatch):
    trained = network(encoder="resnet18", seed=5)
    state = {n: t.clone() for n, t in trained.encoder.state_dict().items()}
    config = b'{"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}'
    cache(no_network, "smp-hub/resnet18.imagenet", {"model.safetensors": state, "config.json": config})
    revision = weights.smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]["revision"]
    snapshots = no_network / "models--smp-hub--resnet18.imagenet" / "snapshots"
    (snapshots / "abc").rename(snapshots / revision)
    loaded = network(encoder="resnet18", start="imagenet", seed=6)
    assert torch.equal(loaded.encoder.state_dict()["conv1.weight"], state["conv1.weight"])
    assert loaded.normalisation == Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_a_damaged_cache_says_so(no_network):
    cache(no_network, "timm/pvt_v2_b0.in1k", {"model.safetensors": b"not weights"})
    with pytest.raises(NetworkError, match="damaged"):
        network(encoder="tu-pvt_v2_b0", start="imagenet")


# Files -----------------------------------------------------------------------------------------


def assert_same(first: torch.nn.Module, second: torch.nn.Module) -> None:
    a, b = first.state_dict(), second.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


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

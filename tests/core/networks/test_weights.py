import socket
import threading
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from core.configuration.choices import Architecture
from core.networks import weights
from core.networks.build import NetworkError
from core.pixels import Normalisation
from tests.core.networks.small import assert_same, network


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
def test_without_a_network_one_sentence_comes_soon(no_network, monkeypatch, encoder):
    attempts = []
    refuse = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: attempts.append(args) or refuse(*args))
    with pytest.raises(NetworkError) as refused:
        network(encoder=encoder, start="imagenet")
    assert len(attempts) == 1  # the hub's client alone would try six times, for half a minute
    assert "network.weights" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    over, ended = threading.Event(), threading.Event()

    def wait(*_args, **_kwargs):
        over.wait()
        ended.set()
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", wait)
    assert not weights.can_reach("https://example.invalid", seconds=0.01)  # returns while the server still waits
    over.set()
    assert ended.wait(60)


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


def test_cached_weights_of_a_vision_transformer_need_no_network(no_network):
    torch.manual_seed(5)
    trained = timm.create_model("test_vit")
    cache(no_network, "timm/test_vit.r160_in1k", {"model.safetensors": trained.state_dict()})
    loaded = network(Architecture.DPT, "tu-test_vit", start="imagenet", seed=6)
    assert_same(loaded.encoder.model, trained)
    assert loaded.normalisation == Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert loaded.description.weights_licence == "Apache-2.0"


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

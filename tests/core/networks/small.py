"""Small networks of every architecture, and a folder that holds one."""

import json
from pathlib import Path

import torch

from core.configuration.choices import Architecture
from core.configuration.sections import NetworkConfig
from core.labels import LabelSpace
from core.networks.build import build
from core.networks.segmenter import Segmenter
from core.networks.store import CARD, model_card, write_weights

SMALL = {
    Architecture.SEGFORMER: "tu-pvt_v2_b0",
    Architecture.UNET: "tu-test_resnet",
    Architecture.DEEPLABV3PLUS: "tu-test_resnet",
    Architecture.DAFORMER: "tu-test_convnext",
    Architecture.UPERNET: "tu-test_resnet",
    Architecture.DPT: "tu-test_vit",
    Architecture.LINEAR: "tu-test_vit",
}


def network(
    architecture=Architecture.SEGFORMER, encoder="tu-test_resnet", start="none", num_classes=3, seed=0, hrda=False
):
    torch.manual_seed(seed)
    config = NetworkConfig(architecture=architecture, encoder=encoder, weights=str(start), hrda=hrda)
    return build(config, num_classes)


def assert_same(first: torch.nn.Module, second: torch.nn.Module) -> None:
    """The first's weights are the second's, which may have more."""
    a, b = first.state_dict(), second.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def save_model(folder: Path, segmenter: Segmenter, space: LabelSpace, name: str = "model") -> None:
    """Write `<name>.safetensors` and its model.json, as a checkpoint and a bundle have them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).write_text(json.dumps(model_card(segmenter, space)), encoding="utf-8")
    write_weights(segmenter, folder / f"{name}.safetensors")

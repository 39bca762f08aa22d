"""Good files of every kind that the program reads, to be damaged."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as to_safetensors

from core.configuration import settings
from core.configuration.config import RunConfig
from core.labels import LabelSpace, space_to_toml
from core.networks.store import model_card
from core.training.checkpoint import save_checkpoint
from tests.core.networks.small import network

SPACE = LabelSpace("small", ("road", "sky", "pole"), ((10, 20, 30), (200, 100, 0), (0, 0, 255)))
_DRAW = np.random.default_rng(1)


def make(folder: Path) -> dict[str, list[bytes]]:
    """Return the good files by kind. `folder` is used on the way; its `checkpoint` stays, a whole one."""
    folder.mkdir(parents=True, exist_ok=True)
    segmenter = network(num_classes=3).eval()
    _write_checkpoint(folder / "checkpoint", segmenter)
    files = {path.name: path.read_bytes() for path in (folder / "checkpoint").iterdir()}
    weights = segmenter.state_dict()
    return {
        "image": _images(),
        "label": _labels(),
        "video": _videos(folder),
        "configuration": [settings.dumps(RunConfig()).encode(), settings.dumps(_other_config()).encode()],
        "label space": [space_to_toml(SPACE).encode(), space_to_toml(SPACE.in_colours()).encode()],
        "model card": [files["model.json"]],
        "checkpoint state": [files["state.json"]],
        "run status": [json.dumps({"state": "running", "step": 3, "total_steps": 9, "scores": {"teacher": {"miou": 1.5}}}).encode()],
        "metrics": [b"step,total,learning_rate,miou\n1,0.5,1e-3,\n2,0.25,1e-3,33.3\n3,0.125,1e-3,\n"],
        "changes": [b'{"step": 1, "changes": {"mask.block_size": 8}}\n{"step": 2, "changes": {"training.batch_size": 4}}\n'],
        "run notes": [b'{"format_version": 1, "label": "a run", "note": "of two"}'],
        "class names": [
            b"# label:color_rgb:parts:actions\nroad:128,64,128::\nsky:70,130,180::\n", b"name,r,g,b\nroad,1,2,3\nsky,4,5,6\n",
            b'{"categories": [{"id": 1, "name": "road", "color": [1, 2, 3]}, {"id": 2, "name": "sky"}]}',
            b'{"labels": [{"name": "a--road", "readable": "Road", "color": [1, 2, 3], "evaluate": true}]}', b"0 road\n1 sky\n",
        ],
        "list": [b"image,label\na.png,a_label.png\nb.png,b_label.png\n", b"# images\na.png\nb.png\n"],
        "checksums": [files["SHA256SUMS"]],
        "weights": [files["student.safetensors"], to_safetensors({"w": torch.ones(3, 4), "n": torch.ones(2, dtype=torch.int32)})],
        "foreign weights": [_pickled(weights), _pickled({"model": weights, "ema_model": weights, "epoch": 3}), _legacy(weights)],
        "optimizer": [files["optimizer.safetensors"]],
    }  # fmt: skip


def is_text(kind: str) -> bool:
    return kind in (
        "configuration", "label space", "model card", "checkpoint state", "run status", "metrics", "changes", "checksums",
        "run notes", "class names", "list",
    )  # fmt: skip


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _images() -> list[bytes]:
    colours = Image.fromarray(_DRAW.integers(0, 256, (24, 31, 3), dtype=np.uint8))
    grey16 = Image.fromarray(_DRAW.integers(0, 65536, (13, 17), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    pages = [colours.resize((9, 8)), colours.resize((8, 9))]
    return [
        _encoded(colours, "PNG"), _encoded(colours.convert("P"), "PNG"), _encoded(colours.convert("RGBA"), "PNG"),
        _encoded(grey16, "PNG"), _encoded(colours.convert("1"), "PNG"),
        _encoded(colours, "JPEG", exif=exif), _encoded(colours, "JPEG", progressive=True), _encoded(colours.convert("CMYK"), "JPEG"),
        _encoded(colours, "WEBP", lossless=True, exif=exif), _encoded(colours, "WEBP"),
        _encoded(pages[0], "WEBP", save_all=True, append_images=[pages[1].resize((9, 8))]),
        _encoded(colours, "TIFF"), _encoded(colours, "TIFF", compression="tiff_lzw"), _encoded(grey16, "TIFF"),
        _encoded(colours, "TIFF", compression="jpeg"), _encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]),
        _encoded(colours, "BMP"), _encoded(colours.convert("P"), "BMP"), _encoded(colours.convert("P"), "GIF"),
        _encoded(pages[0], "GIF", save_all=True, append_images=pages[1:]), _encoded(colours, "PPM"),
        b"P2\n# a comment\n3 2\n255\n1 2 3 4 5 6\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n%%EOF\n",
    ]  # fmt: skip


def _labels() -> list[bytes]:
    ids = Image.fromarray(np.kron(_DRAW.integers(0, 3, (3, 4)), np.ones((8, 8))).astype(np.uint8))
    palette = ids.copy()
    palette.putpalette(bytes(range(256)) * 3)
    wide = Image.fromarray(np.asarray(ids).astype(np.uint16) * 1000)
    return [_encoded(image, kind) for image in (ids, palette, wide, ids.convert("RGB")) for kind in ("PNG", "TIFF")]


def _videos(folder: Path) -> list[bytes]:
    made = []
    for suffix, codec in ((".avi", "MJPG"), (".mp4", "mp4v"), (".mkv", "mp4v"), (".wmv", "WMV1")):
        path = folder / f"film{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
        for level in range(0, 250, 50):
            writer.write(np.full((48, 64, 3), level, np.uint8))
        writer.release()
        made.append(path.read_bytes())
    return [*made, b"ffconcat version 1.0\nfile film.avi\n"]


def _other_config() -> RunConfig:
    changes = {"mask.ratio": [0.3, 0.5], "network.encoder": "mit_b0", "data.source_images": "/data/images"}
    return settings.with_changes(RunConfig(), changes)


def _write_checkpoint(folder: Path, segmenter: torch.nn.Module) -> None:
    optimizer = torch.optim.AdamW(segmenter.parameters())
    for parameter in segmenter.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    card = model_card(segmenter, SPACE)  # type: ignore[arg-type]
    save_checkpoint(folder, segmenter, segmenter, optimizer, card, {"format_version": 1, "step": 4, "device": "cpu"})


def _pickled(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    assert zipfile.is_zipfile(buffer)
    return buffer.getvalue()


def _legacy(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()

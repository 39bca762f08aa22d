"""The model card: one page of plain HTML, with no script and nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape

from core.events import Scores
from core.export.parity import Parity
from core.export.pictures import CardPicture
from core.networks.store import LoadedModel

_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.45; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { border: 1px solid #8886; padding: .25rem .6rem; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
span.colour { display: inline-block; width: 2.5rem; height: 1rem; border: 1px solid #8888; vertical-align: middle; }
table.pictures td { padding: .15rem; }
table.pictures img { display: block; max-width: 100%; }
pre { background: #8882; padding: .8rem; overflow-x: auto; }
"""

_READ = """import numpy as np
from PIL import Image

image = np.asarray(Image.open("image.png").convert("RGB"), np.float32).transpose(2, 0, 1)[None] / 255
"""

_CODE: dict[str, str] = {
    "onnx": _READ
    + """
import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: onnxruntime reports its use otherwise
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
logits = session.run(["logits"], {"image": image})[0]  # (1, classes, height, width)
classes = logits.argmax(1)[0]
""",
    "pt2": _READ
    + """
import torch

model = torch.export.load("model.pt2").module()  # load only files that you trust
with torch.no_grad():
    logits = model(torch.from_numpy(image))  # (1, classes, height, width)
classes = logits.argmax(1)[0].numpy()
""",
    "safetensors": """from pathlib import Path

from core.dataset.reading import read_image  # the package masktwins
from core.evaluation.predictor import Predictor
from core.networks.store import load_model

model = load_model(Path("."))  # the folder of this card
classes = Predictor(model.segmenter).predict(read_image(Path("image.png")))
""",
}


def card_html(
    model: LoadedModel,
    parity: Mapping[str, Parity],
    versions: Mapping[str, str],
    scores: Scores | None = None,
    pictures: Sequence[CardPicture] = (),
) -> str:
    """The page: what the model is, its classes, licences, figures, and how the files are loaded.

    Args:
        parity: by format name, as of core.export.bundle.Format.
        scores: of the model on labels, in percent.
        pictures: of target images before and after adapting.
    """
    description = model.description
    facts = [
        ("Architecture", description.architecture.value),
        ("Encoder", description.encoder),
        ("Starting weights", description.weights),
        ("Taken from", model.title),
        (
            "Normalisation",
            f"mean {model.segmenter.normalisation.mean}, std {model.segmenter.normalisation.std} (RGB, 0..1)",
        ),
        ("Stride", f"{model.segmenter.stride} pixels"),
    ]
    licences = [("Code", description.code_licence), ("Starting weights", description.weights_licence)]
    parts = [
        "<h1>Segmentation model</h1>",
        _table((), facts),
        "<h2>Input and output</h2>",
        "<p>ONNX and pt2: input <code>image</code> (N, 3, H, W) float32 RGB in 0..1, any height and width; output "
        "<code>logits</code> (N, C, H, W). Normalisation, padding and resizing are inside.</p>",
        "<h2>Classes</h2>",
        _classes(model, scores),
        *_quality(scores),
        *_pictures(pictures),
        "<h2>Comparison with the trained network</h2>",
        _comparison(parity),
        "<h2>Licences</h2>",
        "<p>They bind whoever uses the model. What is called unknown must be asked of its authors.</p>",
        _table((), licences),
        "<h2>Loading it</h2>",
        *(f"<h3>model.{escape(form)}</h3><pre>{escape(_CODE[form])}</pre>" for form in parity),
        "<h2>Made with</h2>",
        _table((), list(versions.items())),
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Model card</title><style>{_STYLE}</style>'
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _classes(model: LoadedModel, scores: Scores | None) -> str:
    rows = []
    for index, (name, (r, g, b)) in enumerate(zip(model.classes, model.palette, strict=True)):
        iou = "" if scores is None else f'<td class="number">{_percent(scores.per_class.get(name, math.nan))}</td>'
        colour = f'<td><span class="colour" style="background: rgb({r}, {g}, {b})"></span> {r}, {g}, {b}</td>'
        rows.append(f'<tr><td class="number">{index}</td>{colour}<td>{escape(name)}</td>{iou}</tr>')
    header = "<tr><th>Id</th><th>Colour (RGB)</th><th>Name</th>" + ("" if scores is None else "<th>IoU</th>") + "</tr>"
    return f"<table>{header}{''.join(rows)}</table>"


def _quality(scores: Scores | None) -> list[str]:
    if scores is None:
        return []
    return [
        f"<p>On the labelled target images: mean IoU {_percent(scores.miou)}, pixel accuracy "
        f"{_percent(scores.pixel_accuracy)}.</p>"
    ]


def _pictures(pictures: Sequence[CardPicture]) -> list[str]:
    if not pictures:
        return []
    has_before = any(picture.before for picture in pictures)
    header = "<th>Image</th>" + ("<th>Before adapting</th>" if has_before else "") + "<th>This model</th>"
    rows = []
    for picture in pictures:
        cells: list[tuple[bytes | None, str]] = [
            (picture.image, picture.name),
            (picture.after, f"{picture.name}, this model"),
        ]
        if has_before:
            cells.insert(1, (picture.before, f"{picture.name}, before adapting"))
        rows.append(f"<tr>{''.join(_picture(content, title) for content, title in cells)}</tr>")
    return ["<h2>On target images</h2>", f'<table class="pictures"><tr>{header}</tr>{"".join(rows)}</table>']


def _picture(content: bytes | None, title: str) -> str:
    """A cell with the picture in it, so that the page needs no other file."""
    if content is None:
        return "<td></td>"
    data = base64.b64encode(content).decode("ascii")
    return f'<td><img alt="{escape(title)}" title="{escape(title)}" src="data:image/jpeg;base64,{data}"></td>'


def _comparison(parity: Mapping[str, Parity]) -> str:
    rows = [
        (
            f"model.{form}",
            f"{result.largest_difference:.2g}",
            f"{100 * result.equal_pixels:.3f} %",
            "; ".join(result.samples),
        )
        for form, result in parity.items()
    ]
    return _table(("File", "Largest difference of a logit", "Pixels of the same class, at least", "Compared on"), rows)


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f} %"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in header)}</tr>" if header else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"

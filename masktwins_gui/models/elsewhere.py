"""The commands that use a run on another machine. They are given in the project's folder, wherever it lies there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from masktwins_gui.models.services import ModelChoice

SNIPPET = """import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: onnxruntime reports its use otherwise
import onnxruntime

session = onnxruntime.InferenceSession({file})
# image: float32 (N, 3, H, W), RGB in 0..1, any size
(logits,) = session.run(None, {{"image": image}})
classes = logits.argmax(1)
"""


def run_elsewhere(project: Path | None, choice: ModelChoice, out: Path, words: Mapping[str, str]) -> str:
    """Return shell commands and Python lines with what they do above each.

    Args:
        project: the project's folder; paths in it are given relative to it.
        out: the folder of the exported bundle.
        words: the comments in the user's language: "place", "again", "resume", "predict", "python".
    """

    def from_project(path: Path) -> str:
        return (path.relative_to(project) if project and path.is_relative_to(project) else path).as_posix()

    run = from_project(choice.path)
    again, resume, model = (shlex.quote(_no_option(text)) for text in (f"{run}/run.toml", run, run))
    predict = (
        f"{model} IMAGES OUT --overlay --weights {choice.which.value} --checkpoint {shlex.quote(choice.checkpoint)}"
    )
    parts = [
        f"# {words['place']}",
        f"# {words['again']}\nmasktwins adapt {again} --json",
        f"# {words['resume']}\nmasktwins adapt --resume {resume}",
        f"# {words['predict']}\nmasktwins predict {predict}",
        f"# {words['python']}\n{SNIPPET.format(file=repr(f'{from_project(out)}/model.onnx'))}",
    ]
    return "\n\n".join(parts)


def _no_option(path: str) -> str:
    """A path that begins with a dash would be read as an option."""
    return f"./{path}" if path.startswith("-") else path

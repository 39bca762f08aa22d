"""Find two classes that are exchanged between the cameras: what is the object here is the background there.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.dataset.problems import Problem, Severity
from core.labels import LabelSpace

RARE = 0.35  # one class below this share in one camera, and the other class below it in the other camera


def inverted(source: Mapping[str, float], target: Mapping[str, float], space: LabelSpace) -> Problem | None:
    """Compare the shares of two classes in the source's and in the target's labels; None where they go together."""
    if space.num_classes != 2 or not any(source.values()) or not any(target.values()):
        return None
    first, second = space.classes
    rare = min(source, key=lambda name: source[name])
    if source[rare] > RARE or target[rare] < 1 - RARE:
        return None
    shares = ", ".join(
        f"{name!r} {100 * source[name]:.0f} % in the source and {100 * target[name]:.0f} % in the target"
        for name in (first, second)
    )
    if set(space.classes) == {"background", "foreground"}:
        fix = 'If so, set data.target_label_space = "binary_inverted".'
    else:
        fix = (
            "If so, exchange the two values in a label space for the target (data.target_label_space); "
            "`masktwins labels DIR -o target_space.toml` writes a draft."
        )
    message = f"The two classes may be exchanged in the target labels: {shares}. {fix} If not, ignore this."
    return Problem("label_inverted", Severity.WARNING, message, (), {"role": "target_labels"})

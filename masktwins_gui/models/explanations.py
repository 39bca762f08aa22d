"""What each curve means, for the one who points at its name."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

_TEXTS: dict[str, dict[str, str]] = {
    "losses": {
        "total": "Sum of the losses below, as it is minimised. It may rise where adaptation begins: more is asked of the network.",
        "source": "Cross-entropy on the labelled source images. Low and flat: the network has learned the source.",
        "feature_distance": "How far the encoder has moved from its pretrained features.",
        "mix": "Cross-entropy on source classes pasted into target images, against labels and pseudo-labels.",
        "twins": "Cross-entropy of the two twins against the pseudo-label: each must be understood from half of the image.",
        "consistency": "How differently the two twins are understood. It falls as the network learns to fill the holes.",
    },
    "quality": {
        "source": "The source-only model, before adapting. Mean IoU on the target labels; training never reads these.",
        "student": "The network that is trained. Mean IoU on the target labels.",
        "teacher": "The averaged network, which is exported by default. Mean IoU on the target labels.",
    },
    "health": {
        "score": "Stability times mutual information; higher is better, below 0 the predictions have collapsed. It needs no labels. "
        "It is a proxy: it orders models, and does not replace labels.",
        "stability": "Share of pixels whose class survives mirroring, other brightness and a smaller scale. Higher is better.",
        "mutual_information": "Sure predictions that are spread over the classes. Higher is better; near 0, everything is one class.",
        "variety": "How evenly the predicted classes are spread, compared with the source labels. A fall to 0 means collapse.",
        "drift": "How far the predicted class shares are from those of the source labels. Another scene has other shares, so a "
        "steady value is fine; a steady rise means that a class is taking over.",
        "twin_disagreement": "Share of pixels on which the two twins are given different classes. Training lowers it by itself.",
        "agreement": "Share of pixels on which student and teacher agree. Training raises it by itself.",
        "confidence": "The teacher's mean highest probability. Training raises it whether it is right or wrong.",
        "entropy": "How unsure the teacher is per pixel, from 0 to 1. Training lowers it whether it is right or wrong.",
    },
}


def explanation(panel: str, name: str) -> str:
    """Explain a curve of a panel (losses, quality, health); empty for one that this version does not know."""
    text = _TEXTS.get(panel, {}).get(name, "")
    return QCoreApplication.translate("Explanations", text) if text else ""

"""Brings what the compare desk shows of an image: the plain image at once, then A, then B, then what changes.

Everything is kept for a while, and the neighbours are predicted ahead, so that stepping back and forth does not wait.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from core.dataset.folders import Pair
from core.evaluation.compare import Ranked
from core.labels import LabelSpace
from masktwins_gui.models.cache import BoundedCache
from masktwins_gui.models.look import Delta, LabelSource, Photo, make_delta, read_photo, read_truth
from masktwins_gui.models.pictures import read_predicted
from masktwins_gui.models.services import (
    Classes,
    Handle,
    Inference,
    Jobs,
    ModelChoice,
    ModelKind,
    Predicted,
    PredictRequest,
    Stage,
)

MIB = 2**20
REST_MS = 60  # an image that is passed by more quickly is not predicted
ModelKey = tuple[ModelChoice, str]  # with what "newest" stands for


class Loader(QObject):
    """Follows one image and two models. GUI thread only; reads in the jobs, predicts in the inference thread."""

    photo_ready = Signal()
    side_ready = Signal(int)  # 0: A, 1: B
    truth_ready = Signal()
    delta_ready = Signal()
    stage_changed = Signal(object)  # Stage of what is awaited, or None
    failed = Signal(str, str)  # what happened, details

    def __init__(self, jobs: Jobs, inference: Inference, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs, self._inference = jobs, inference
        self.pair: Pair | None = None
        self._fallback = Classes()
        self._told: dict[ModelKey, tuple[Classes, str]] = {}  # classes and device, by model
        self._models: tuple[ModelChoice, ModelChoice] | None = None
        self._source: LabelSource | None = None
        self._space: LabelSpace | None = None
        self._neighbours: Sequence[Pair] = ()
        self._photos: BoundedCache[Photo] = BoundedCache(160 * MIB, lambda pair: pair == self.pair)
        self._ranked: BoundedCache[Ranked] = BoundedCache(256 * MIB, self._is_shown)
        self._deltas: BoundedCache[Delta] = BoundedCache(96 * MIB, lambda key: key == self._delta_key(self.pair))
        self._truths: BoundedCache[np.ndarray | None] = BoundedCache(32 * MIB, lambda pair: pair == self.pair)
        self._reading: Pair | None = None
        self._asked: dict[tuple[Pair, ModelKey], Handle] = {}
        self._begun: set[tuple[Pair, ModelKey]] = set()
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(REST_MS)
        self._pause.timeout.connect(self._go_on)

    # What is shown -----------------------------------------------------------------------------

    @property
    def photo(self) -> Photo | None:
        return self._photos.get(self.pair)

    @property
    def truth(self) -> np.ndarray | None:
        return self._truths.get(self.pair)

    @property
    def delta(self) -> Delta | None:
        return self._deltas.get(self._delta_key(self.pair))

    def ranked(self, side: int) -> Ranked | None:
        return None if self._models is None else self._ranked.get((self.pair, _key(self._models[side])))

    @property
    def classes(self) -> Classes:
        """Of the models, or of the project where they are pictures."""
        told = [self._told[_key(model)][0] for model in reversed(self._models or ()) if _key(model) in self._told]
        return told[0] if told else self._fallback

    @property
    def place(self) -> str:
        """Where predictions are computed, in words."""
        told = [self._told[_key(model)][1] for model in reversed(self._models or ()) if _key(model) in self._told]
        return told[0] if told else ""

    # What is asked for -------------------------------------------------------------------------

    def set_models(self, first: ModelChoice | None, second: ModelChoice | None, fallback: Classes) -> None:
        """Look through other models. `fallback`: classes where neither model names any."""
        self._models, self._fallback = (first, second) if first and second else None, fallback
        self.stop()

    def set_labels(self, source: LabelSource) -> None:
        """Read labels in another way."""
        if source != self._source:
            self._source, self._space = source, None
            self._truths.clear()
            self._deltas.clear()

    def show(self, pair: Pair | None, neighbours: Sequence[Pair]) -> None:
        """Look at an image; what is known of it is signalled at once. `neighbours` are predicted afterwards, in order."""
        self.pair, self._neighbours = pair, neighbours
        self._cancel_others()
        if pair is not None:
            self._go_on(rested=False)

    def stop(self) -> None:
        """Ask for nothing more, as the page is hidden."""
        self._pause.stop()
        self._neighbours = ()
        for handle in self._asked.values():
            handle.cancel()
        self._asked.clear()
        self._begun.clear()

    def forget(self) -> None:
        """Drop everything, as the project is another one."""
        self.stop()
        self.pair, self._models = None, None
        self._told.clear()
        for cache in (self._photos, self._ranked, self._deltas, self._truths):
            cache.clear()

    def _cancel_others(self) -> None:
        """Cancel what is asked for other images than the one shown and its neighbours."""
        wanted = {self.pair, *self._neighbours}
        for key in [key for key in self._asked if key[0] not in wanted]:
            self._asked.pop(key).cancel()

    # Step by step ------------------------------------------------------------------------------

    def _go_on(self, *, rested: bool = True) -> None:
        """Take the next step for the image that is shown; each step calls it again when it is done."""
        pair = self.pair
        if pair is None:
            return
        if (photo := self.photo) is None:
            self._read(pair)
            return
        if not rested:
            self._signal_known()
        if self._models is None:
            self.stage_changed.emit(None)
            return
        missing = [side for side in (0, 1) if self.ranked(side) is None]
        if missing and not rested:
            self.stage_changed.emit(Stage.IMAGE)
            self._pause.start()
        elif missing:
            self._predict(pair, photo, self._models[missing[0]], ahead=False)
        elif self.delta is None:
            self._compare(pair, photo)
        else:
            self.stage_changed.emit(None)
            self._look_ahead()

    def _signal_known(self) -> None:
        self.photo_ready.emit()
        if self.pair in self._truths:
            self.truth_ready.emit()
        for side in (0, 1):
            if self.ranked(side) is not None:
                self.side_ready.emit(side)
        if self.delta is not None:
            self.delta_ready.emit()

    def _read(self, pair: Pair) -> None:
        """Read one image at a time: one that is passed by is kept, and the newest one follows."""
        if self._reading is not None:
            return
        self._reading = pair

        def done(photo: Photo) -> None:
            self._reading = None
            self._photos.put(pair, photo, photo.num_bytes)
            if pair == self.pair:
                self._go_on(rested=False)
            elif self.photo is None:
                self._go_on()
            else:
                self._look_ahead()

        def fail(message: str, details: str) -> None:
            self._reading = None
            if pair == self.pair:
                self._fail(message, details)
            else:
                self._neighbours = [other for other in self._neighbours if other != pair]
                self._go_on()

        self._jobs.submit(f"inspect photo {pair.image}", lambda _: read_photo(pair), done, fail)

    def _predict(self, pair: Pair, photo: Photo, model: ModelChoice, *, ahead: bool) -> None:
        key = (pair, _key(model))
        if key in self._asked and (ahead or key in self._begun or model.kind is ModelKind.PICTURES):
            return
        if key in self._asked:  # it waits with what is ahead: now somebody waits for it
            self._asked.pop(key).cancel()

        def keep(ranked: Ranked) -> None:
            self._asked.pop(key, None)
            self._begun.discard(key)
            self._ranked.put(key, ranked, ranked.num_bytes)
            if pair == self.pair:
                self._signal_side(key[1])
                self._go_on()
            else:
                self._look_ahead()

        def done(predicted: Predicted) -> None:
            self._told[key[1]] = predicted.classes, predicted.place
            keep(predicted.ranked)

        def fail(message: str, details: str) -> None:
            self._asked.pop(key, None)
            if pair == self.pair:
                self._fail(message, details)

        def begin(stage: Stage) -> None:
            if stage is Stage.IMAGE:
                self._begun.add(key)
            if pair == self.pair:
                self.stage_changed.emit(stage)

        if model.kind is ModelKind.PICTURES:
            size = (photo.pixels.shape[0], photo.pixels.shape[1])
            name = f"inspect picture {model.path} {pair.name}"
            handle = self._jobs.submit(name, lambda _: read_predicted(model.path, pair.name, size), keep, fail)
        else:
            request = PredictRequest(photo.pixels, model, ahead)
            handle = self._inference.predict(request, done, fail, begin)
        if self._ranked.get(key) is None:
            self._asked[key] = handle

    def _signal_side(self, model: ModelKey) -> None:
        assert self._models is not None
        for side in (0, 1):
            if _key(self._models[side]) == model:
                self.side_ready.emit(side)

    def _compare(self, pair: Pair, photo: Photo) -> None:
        first, second, source, space, classes = self.ranked(0), self.ranked(1), self._source, self._space, self.classes
        key = self._delta_key(pair)
        assert first is not None
        assert second is not None

        def work(_: object) -> tuple[LabelSpace | None, np.ndarray | None, Delta]:
            found = space
            if found is None and source is not None and source.labels:
                found = source.space()
            size = (photo.pixels.shape[0], photo.pixels.shape[1])
            label = read_truth(pair, found, size) if found is not None else None
            return found, label, make_delta(pair, photo, first, second, label, classes)

        def done(result: tuple[LabelSpace | None, np.ndarray | None, Delta]) -> None:
            found, label, delta = result
            if source == self._source:
                self._space = found
                self._truths.put(pair, label, 1024 if label is None else label.nbytes)
            self._deltas.put(key, delta, delta.num_bytes)
            if pair == self.pair and key == self._delta_key(pair):
                self.truth_ready.emit()
                self.delta_ready.emit()
                self._go_on()

        self._jobs.submit("inspect delta", work, done, self._fail)

    def _look_ahead(self) -> None:
        """Read and predict the neighbours, one after the other."""
        photo = self.photo
        if self._models is None or self._asked or self._reading is not None or photo is None:
            return
        if photo.num_bytes > self._photos.max_bytes / 4:
            return  # what is read ahead would push out what is shown
        for pair in self._neighbours:
            photo = self._photos.get(pair)
            if photo is None:
                self._read(pair)
                return
            for model in self._models:
                if self._ranked.get((pair, _key(model))) is None:
                    self._predict(pair, photo, model, ahead=True)
                    return

    def _is_shown(self, key: tuple[Pair, ModelKey]) -> bool:
        return key[0] == self.pair and key[1] in map(_key, self._models or ())

    def _delta_key(self, pair: Pair | None) -> object:
        return None if self._models is None else (pair, *map(_key, self._models))

    def _fail(self, message: str, details: str) -> None:
        self.stage_changed.emit(None)
        self.failed.emit(message, details)


def _key(model: ModelChoice) -> ModelKey:
    return model, model.newest

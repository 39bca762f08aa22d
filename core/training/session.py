"""The state of a running run: networks, optimiser and data, with the verbs that the engine's loop is made of."""

from __future__ import annotations

import logging
import platform
import time
from collections import deque
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.config import Precision, RunConfig
from core.data.listing import Listing
from core.data.sampling import Batch, BatchSource, generator
from core.evaluation.predict import evaluate
from core.evaluation.predictor import Predictor
from core.events import Model, Phase, RunError, Scores, Warned
from core.method.step import Images, Student, draw, masktwins_step, part, source_step
from core.method.teacher import Teacher
from core.networks.build import NetworkError, Segmenter, build, build_empty
from core.networks.store import StoreError, load_weights, model_card, read_card
from core.runs import CheckpointRef, RunFolder
from core.training.checkpoint import (
    CheckpointError,
    delete_checkpoint,
    load_optimizer,
    read_state,
    save_checkpoint,
)
from core.training.device import Compute, apply_threads, choose_device, resolve
from core.training.optim import StepGuard, build_optimizer, set_learning_rate

LOG = logging.getLogger(__name__)


class Session:
    """Built once per run or resume. `step` counts finished steps, source-only ones included."""

    def __init__(self, config: RunConfig, run: RunFolder, listing: Listing, resume_from: CheckpointRef | None) -> None:
        self.config = config
        self.run = run
        self.listing = listing
        self.warnings: deque[Warned] = deque()
        self.state: dict[str, Any] = read_state(resume_from.path) if resume_from else {}
        self.step = resume_from.step if resume_from else 0
        self.learning_rate = 0.0  # of the encoder, in the last step
        self.best_miou: float | None = self.state.get("best_miou")  # of the teacher, where there are target labels
        self.compute = _stored_compute(self.state) if resume_from else resolve(config.training)
        apply_threads(self.compute)
        torch.manual_seed(config.training.seed)

        network = _build_network(config, listing.space.num_classes, resume_from)
        self.warnings.extend(Warned("weights", note) for note in network.notes)
        network = network.to(self.compute.device)
        if self.compute.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: Segmenter = network
        self.student = Student(network, network.normalisation, self.compute.autocast)
        self.optimizer = build_optimizer(network, config.training)
        self.teacher: Teacher | None = None
        self.guard = StepGuard(self.optimizer, [network])
        if resume_from:
            self._restore(resume_from)
        self.batches = BatchSource(
            listing.source, listing.target, listing.space, config.data, config.training, self.warnings.append
        )

    # Steps -------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return Phase.SOURCE if self.step < self.config.training.source_steps else Phase.ADAPT

    def make_batch(self, step: int) -> Batch:
        """Batch of a step; called by the prefetching threads, which also pin its memory for a copy that does not wait."""
        batch = self.batches.batch(step, with_target=step >= self.config.training.source_steps)
        if not self.compute.device.startswith("cuda"):
            return batch
        return Batch(*(tensor.pin_memory() for tensor in vars(batch).values()))

    def begin_adaptation(self) -> None:
        """Make the teacher; its first update copies the student."""
        if self.teacher is None:
            self.teacher = Teacher(self.network, self.config.training.teacher_statistics)
            self.guard.watch([self.network, self.teacher.network])

    def train_step(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Make one optimiser step. Returns the losses, and 1.0 where the step was left out; all on the device."""
        training = self.config.training
        # The network's own randomness (dropout, drop path) follows from (seed, step) too.
        torch.manual_seed(int(generator(training.seed, self.step, "network").integers(2**62)))
        self.network.train()
        self.learning_rate = set_learning_rate(self.optimizer, training, self.step)
        images = self._to_device(batch)
        self.guard.before()
        if self.phase is Phase.SOURCE:
            losses = source_step(self.student, images)
        else:
            assert self.teacher is not None
            draws = draw(self.config, batch, lambda purpose: generator(training.seed, self.step, purpose))
            losses = masktwins_step(
                self.student, self.teacher, images, draws, self.config, self.step - training.source_steps
            )
        with part("optimiser"):
            bad = self.guard.apply(losses)
        self.step += 1
        return losses, bad

    def _to_device(self, batch: Batch) -> Images:
        def image(tensor: Tensor) -> Tensor:
            moved = self._move(tensor).float().div(255)
            return moved.contiguous(memory_format=torch.channels_last) if self.compute.channels_last else moved

        return Images(
            image(batch.source_image),
            self._move(batch.source_label),
            image(batch.target_image),
            self._move(batch.target_valid),
        )

    def _move(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.compute.device, non_blocking=True)

    # Measuring ---------------------------------------------------------------------------------

    def models(self) -> dict[Model, Segmenter]:
        """The models there are at this moment."""
        found: dict[Model, Segmenter] = {Model.STUDENT: self.network}
        if self.teacher is not None:
            found[Model.TEACHER] = self.teacher.network  # type: ignore[assignment]
        return found

    def evaluate(self, model: Segmenter) -> Scores:
        """Score a model on the labelled target images, in evaluation mode; its mode is put back."""
        was_training = model.training
        model.eval()
        try:
            predictor = Predictor(model, device=self.compute.device)
            return evaluate(predictor, self.listing.evaluation, self.listing.space, on_problem=self.warnings.append)
        finally:
            model.train(was_training)

    # Checkpoints -------------------------------------------------------------------------------

    def checkpoint_path(self) -> Path:
        """source-N while there is no teacher, then step-N by adaptation steps."""
        if self.teacher is None:
            return self.run.checkpoint_path(self.step, source=True)
        return self.run.checkpoint_path(self.step - self.config.training.source_steps)

    def save(self) -> tuple[Path, float]:
        """Write the checkpoint of the present step. Returns its folder and the seconds it took. Raises CheckpointError."""
        started = time.perf_counter()
        path = self.checkpoint_path()
        teacher = self.teacher.network if self.teacher else None
        state = {
            "format_version": 1,
            "step": self.step,
            "phase": self.phase.value,
            "device": self.compute.device,
            "device_reason": self.compute.reason,
            "precision": self.compute.precision.value,
            "threads": self.compute.threads,
            "channels_last": self.compute.channels_last,
            "best_miou": self.best_miou,
            "versions": versions(),
        }
        card = model_card(self.network, self.listing.space)
        save_checkpoint(path, self.network, teacher, self.optimizer, card, state)
        return path, time.perf_counter() - started

    def prune(self) -> None:
        """Delete all but the newest checkpoints, the best one and the source-only one."""
        best = self.run.status().get("best_checkpoint")
        found = self.run.checkpoints()
        source = [ref.path for ref in found if ref.is_source]
        steps = [ref.path for ref in found if not ref.is_source]
        for path in [*source[:-1], *steps[: -self.config.training.keep_checkpoints]]:
            if path.name != best:
                delete_checkpoint(path)

    def _restore(self, ref: CheckpointRef) -> None:
        try:
            load_weights(self.network, ref.path / "student.safetensors")
            load_optimizer(self.network, self.optimizer, ref.path / "optimizer.safetensors")
            if (ref.path / "teacher.safetensors").exists():
                self.begin_adaptation()
                assert self.teacher is not None
                load_weights(self.teacher.network, ref.path / "teacher.safetensors")
        except (CheckpointError, StoreError) as error:
            raise RunError(f"{error} Delete {ref.path} to resume from the checkpoint before it.") from error


def _build_network(config: RunConfig, num_classes: int, resume_from: CheckpointRef | None) -> Segmenter:
    try:
        if resume_from is None:
            return build(config.network, num_classes)
        card = read_card(resume_from.path)
        return build_empty(card.description, num_classes, card.normalisation)
    except (NetworkError, StoreError) as error:
        raise RunError(str(error)) from error


def _stored_compute(state: dict[str, Any]) -> Compute:
    """What the run computed with; a device that is gone is replaced, with a sentence in the log."""
    try:
        choose_device(state["device"])
        device, reason = state["device"], state["device_reason"]
    except RunError:
        device, reason = choose_device()
        LOG.warning("The run was made on %s, which is not here; it goes on on %s.", state["device"], device)
    return Compute(device, reason, Precision(state["precision"]), state["threads"], state["channels_last"])


def versions(names: Sequence[str] = ("torch", "timm", "segmentation-models-pytorch", "numpy")) -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in names}}

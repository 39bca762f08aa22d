"""The state of a running run: networks, optimiser and data, with the verbs that the engine's loop is made of."""

from __future__ import annotations

import logging
import math
import platform
import time
from collections import deque
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from core.configuration.choices import Precision, TeacherStatistics
from core.configuration.config import RunConfig
from core.dataset.listing import Listing
from core.errors import RunError
from core.evaluation.health import readable
from core.evaluation.predictor import PredictionError, Predictor
from core.evaluation.scores import scores_of
from core.evaluation.scoring import evaluate_all
from core.events import Model, Phase, Scores, Warned
from core.loading.counting import class_counts
from core.loading.prefetch import default_threads
from core.loading.random import generator
from core.loading.sampling import Batch, BatchSource
from core.method.draws import Share, draw, draw_boxes
from core.method.feature_distance import FeatureAnchor
from core.method.parts import part
from core.method.step import Images, masktwins_step, source_step
from core.method.student import Student
from core.method.teacher import Teacher
from core.method.transfer import to_device
from core.networks.build import NetworkError, Segmenter, build, build_empty
from core.networks.device import choose_device
from core.networks.prediction import Box
from core.networks.recompute import recompute_blocks
from core.networks.store import StoreError, load_weights, model_card, read_card
from core.runs.folder import CheckpointRef, RunFolder
from core.training.checkpoint import CheckpointError, delete_checkpoint, load_optimizer, read_state, save_checkpoint
from core.training.device import Compute, apply, resolve, why_not_compiled
from core.training.distributed import SOLO, Group, check_shares
from core.training.optim import StepGuard, build_optimizer, set_learning_rate

LOG = logging.getLogger(__name__)

EVALUATED_TOGETHER = 4  # images, memory allowing
SETTLED_BY = 16  # images that the teacher's batch statistics are estimated from


class Session:
    """Built once per run or resume. `step` counts finished steps, source-only ones included."""

    def __init__(
        self,
        config: RunConfig,
        run: RunFolder,
        listing: Listing,
        resume_from: CheckpointRef | None,
        group: Group = SOLO,
    ) -> None:
        check_shares(config.training, group.share)
        self.config = config
        self.group = group
        self.run = run
        self.listing = listing
        self.warnings: deque[Warned] = deque()
        self.state: dict[str, Any] = read_state(resume_from.path) if resume_from else {}
        self.step = resume_from.step if resume_from else 0
        self.settled = -1  # the step whose teacher has its batch statistics
        self.learning_rate = 0.0  # of the encoder, in the last step
        self.best_checkpoint: str | None = self.state.get("best_checkpoint")
        self.best: float | None = self.state.get("best")  # the teacher's mIoU, or its label-free score without labels
        self.compute = _stored_compute(self.state, group) if resume_from else _resolved(config, group)
        apply(self.compute)
        torch.manual_seed(config.training.seed)

        network = _build_network(config, listing.space.num_classes, resume_from)
        self.warnings.extend(Warned("weights", note) for note in network.notes)
        if config.training.gradient_checkpointing and not recompute_blocks(network.encoder):
            words = "The encoder has no repeated blocks, so gradient checkpointing saves no memory in this run."
            self.warnings.append(Warned("checkpointing", words))
        network = network.to(self.compute.device)
        if self.compute.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.training.sync_batch_norm:
            network = group.synchronised(network)
        self.network: Segmenter = network
        self.optimizer = build_optimizer(network, config.training)
        self.detail_step = _check_crop(network, config.training.crop_hw)
        self.anchor = _anchor(config, network, listing, resumed=resume_from is not None)
        self.teacher: Teacher | None = None
        self.guard = StepGuard(self.optimizer, [network], group.worst)
        if resume_from:
            self._restore(resume_from)
        self.student = Student(
            network,
            network.normalisation,
            self.compute.autocast,
            parallel=group.wrap(network),
            compiled=config.training.compile and self._can_compile(),
        )
        self.batches = BatchSource(
            listing.source,
            listing.target,
            listing.space,
            config.data,
            config.training,
            self.warnings.append,
            self._class_counts() if config.data.rare_class_sampling else None,
            pinned=self.compute.device.startswith("cuda"),
        )

    def _can_compile(self) -> bool:
        reason = why_not_compiled(self.compute.device)
        if reason:
            message = f"torch.compile does not work here, so the run goes on without it. {reason}"
            self.warnings.append(Warned("compile", message))
        return not reason

    def _class_counts(self) -> np.ndarray:
        cache, keep = self.run.path / "class_counts.npz", self.group.is_main
        listing = self.listing
        return class_counts(listing.source, listing.space, cache, on_problem=self.warnings.append, keep=keep)

    # Steps -------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return Phase.SOURCE if self.step < self.config.training.source_steps else Phase.ADAPT

    @property
    def loader_threads(self) -> int:
        """How many threads make batches ahead; 0: the training thread itself makes them."""
        wanted = self.config.data.loader_threads
        return default_threads(self.group.local_processes) if wanted is None else wanted

    def make_batch(self, step: int) -> Batch:
        """Make the batch of a step. Called by the prefetching threads."""
        with_target = step >= self.config.training.source_steps
        return self.batches.batch(step, with_target=with_target, shard=self.group.share)

    def begin_adaptation(self) -> None:
        """Make the teacher; its first update copies the student."""
        if self.teacher is None:
            self.teacher = Teacher(self.network, self.config.training.teacher_statistics)
            averaged = (
                self.config.training.teacher_statistics is TeacherStatistics.AVERAGED
            )  # moved with the weights alone
            self.guard.watch([self.network] if averaged else [self.network, self.teacher.network])

    def train_step(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Make one optimiser step. Returns the losses, and 1.0 where the step was left out; all on the device."""
        training = self.config.training
        # The network's own randomness (dropout, drop path) follows from (seed, step) too.
        rank = self.group.share.rank
        purpose = f"network-{rank}" if rank else "network"
        torch.manual_seed(int(self._generator(purpose).integers(2**62)))
        self.network.train()
        self.learning_rate = set_learning_rate(self.optimizer, training, self.step)
        self.guard.before()
        if self.teacher is not None and training.teacher_statistics is not TeacherStatistics.BATCH:
            self.group.align([self.network, self.teacher.network])  # all processes label by the same statistics
        images, num_parts = self.to_device(batch), training.accumulation
        losses: dict[str, Tensor] = {}
        for index in range(num_parts):
            with self.student.accumulating(last=index == num_parts - 1):
                found = self._backward(_part(batch, index, num_parts), _part(images, index, num_parts), index)
            losses = {name: losses[name] + loss if losses else loss for name, loss in found.items()}
        with part("optimiser"):
            if num_parts > 1:
                losses = {name: loss / num_parts for name, loss in losses.items()}
                self.guard.divide_gradients(num_parts)
            bad = self.guard.apply(losses)
        self.step += 1
        return losses, bad

    def _backward(self, batch: Batch, images: Images, index: int) -> dict[str, Tensor]:
        """Back-propagate the losses of a part of the batch, which draws as a process with this share of it would."""
        if self.phase is Phase.SOURCE:
            box = self.source_box(*images.source.shape[-2:])
            return source_step(self.student, images, self.config, box=box, anchor=self.anchor)
        assert self.teacher is not None
        num_parts, (rank, world) = self.config.training.accumulation, self.group.share
        share = Share(rank * num_parts + index, world * num_parts)
        draws = draw(self.config, batch, self._generator, self.detail_step, share)
        t = self.step - self.config.training.source_steps
        return masktwins_step(self.student, self.teacher, images, draws, self.config, t, self.anchor)

    def _generator(self, purpose: str) -> np.random.Generator:
        return generator(self.config.training.seed, self.step, purpose)

    def source_box(self, height: int, width: int) -> Box | None:
        """HRDA's sub-crop of the source images in the present step; None for other networks."""
        if not self.detail_step:
            return None
        return draw_boxes(self.config, height, width, self.detail_step, self._generator("sub-crop")).source

    def to_device(self, batch: Batch) -> Images:
        """Copy as bytes and scale to 0..1 there."""
        device = self.compute.device

        def image(tensor: Tensor) -> Tensor:
            moved = to_device(tensor, device).float().div(255)
            return moved.contiguous(memory_format=torch.channels_last) if self.compute.channels_last else moved

        return Images(
            image(batch.source_image),
            to_device(batch.source_label, device),
            image(batch.target_image),
            to_device(batch.target_valid, device),
        )

    # Measuring ---------------------------------------------------------------------------------

    def settle(self) -> None:
        """Estimate the batch statistics that the teacher is measured, saved and exported with; once a step.

        From whole clean target images, the same at every time, so that a resumed run finds the same, and the student's. By
        the main process: it alone saves, and an evaluation aligns the others with it.
        """
        if self.teacher is None or self.settled == self.step or not self.group.is_main:
            return
        self.settled = self.step
        for window in (None, self.config.training.crop_hw):
            predictor = self._predictor(self.teacher.network, window)
            try:
                with self.teacher.settling(self.network, self.config.training.teacher_target_share):
                    for image in readable(self.listing.target, SETTLED_BY):
                        predictor.logits(image)
            except RuntimeError as error:  # memory, most often; no reason to lose a checkpoint
                LOG.warning("the teacher's statistics were not estimated with window %s: %s", window, error)
            else:
                return

    def models(self) -> dict[Model, Segmenter]:
        """The models there are at this moment."""
        found: dict[Model, Segmenter] = {Model.STUDENT: self.network}
        if self.teacher is not None:
            found[Model.TEACHER] = self.teacher.network  # type: ignore[assignment]
        return found

    def evaluate(self, models: Sequence[Segmenter]) -> list[Scores]:
        """Score models on the labelled target images, which are read once for all; their modes are put back.

        Each process takes its share of the images, and all get the scores of all.
        """
        space, share = self.listing.target_space, self.group.share
        self.group.align(models)
        pairs = self.listing.evaluation[share.rank :: share.world]
        found: list[Scores] = []
        # Several images at once may be too many where one is not, and a whole one too large where its crops are not.
        for window, together in ((None, EVALUATED_TOGETHER), (None, 1), (self.config.training.crop_hw, 1)):
            try:
                predictors = [self._predictor(model, window, together) for model in models]
                found, short = evaluate_all(predictors, pairs, space, on_problem=self.warnings.append), False
            except PredictionError as error:
                short = True
                LOG.warning("not evaluated with window %s: %s", window, error)
            if not self.group.any(short)[0]:
                break
        else:
            raise RunError(
                "The device has too little memory to evaluate the model beside the training. Lower training.batch_size or "
                "training.crop_size, or leave data.target_labels empty."
            )
        if share.world == 1:
            return found
        return [scores_of(self.group.sum(np.array(scores.confusion)), space.classes, space.counted) for scores in found]

    def _predictor(self, model: nn.Module, window: tuple[int, int] | None, together: int = 4) -> Predictor:
        """Predict in the run's precision on its device."""
        compute = self.compute
        return Predictor(model, compute.device, window, batch_size=together, precision=compute.precision)  # type: ignore[arg-type]

    # Checkpoints -------------------------------------------------------------------------------

    def checkpoint_path(self) -> Path:
        """source-N while there is no teacher, then step-N by adaptation steps."""
        if self.teacher is None:
            return self.run.checkpoint_path(self.step, source=True)
        return self.run.checkpoint_path(self.step - self.config.training.source_steps)

    def save(self) -> tuple[Path, float]:
        """Write the checkpoint of the present step. Returns its folder and the seconds it took. Raises CheckpointError."""
        self.settle()
        started = time.perf_counter()
        path = self.checkpoint_path()
        if not self.group.is_main:
            return path, 0.0
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
            "teacher_updated": self.teacher.updated if self.teacher else -1,
            "best": self.best,
            "best_checkpoint": self.best_checkpoint,
            "versions": versions(),
        }
        card = model_card(self.network, self.listing.space)
        save_checkpoint(path, self.network, teacher, self.optimizer, card, state)
        return path, time.perf_counter() - started

    def prune(self) -> None:
        """Delete all but the newest checkpoints, the best one and the source-only one."""
        if not self.group.is_main:
            return
        found = self.run.checkpoints()
        source = [ref.path for ref in found if ref.is_source]
        steps = [ref.path for ref in found if not ref.is_source]
        for path in [*source[:-1], *steps[: -self.config.training.keep_checkpoints]]:
            if path.name != self.best_checkpoint:
                try:
                    delete_checkpoint(path)
                except OSError as error:  # held open by another program: the next time
                    LOG.warning("%s could not be deleted: %s", path, error)

    def _restore(self, ref: CheckpointRef) -> None:
        try:
            load_weights(self.network, ref.path / "student.safetensors")
            load_optimizer(self.network, self.optimizer, ref.path / "optimizer.safetensors")
            if (ref.path / "teacher.safetensors").exists():
                self.begin_adaptation()
                assert self.teacher is not None
                load_weights(self.teacher.network, ref.path / "teacher.safetensors")
                self.teacher.updated = self.state.get("teacher_updated", -1)
        except (CheckpointError, StoreError) as error:
            raise RunError(f"{error} Delete {ref.path} to resume from the checkpoint before it.") from error


Cut = TypeVar("Cut", Batch, Images)


def _part(whole: Cut, index: int, num_parts: int) -> Cut:
    """Return one of the equal parts of a batch; the whole where there is only one."""
    if num_parts == 1:
        return whole
    return type(whole)(*(tensor.chunk(num_parts)[index] for tensor in vars(whole).values()))


def _build_network(config: RunConfig, num_classes: int, resume_from: CheckpointRef | None) -> Segmenter:
    try:
        if resume_from is None:
            return build(config.network, num_classes)
        card = read_card(resume_from.path)
        return build_empty(card.description, num_classes, card.normalisation)
    except (NetworkError, StoreError) as error:
        raise RunError(str(error)) from error


def _check_crop(network: Segmenter, crop_hw: tuple[int, int]) -> int:
    """Pixels that HRDA's sub-crop moves by, 0 without one. Raises RunError for a crop that cannot be halved on its grid."""
    step = int(getattr(network, "detail_step", 0))
    unit = math.lcm(network.stride, 2 * step) if step else 1
    if any(side % unit for side in crop_hw):
        raise RunError(
            f"With network.hrda, training.crop_size {crop_hw} must be a multiple of {unit}: "
            f"set it to {max(unit, min(crop_hw) // unit * unit)}."
        )
    return step


def _anchor(config: RunConfig, network: Segmenter, listing: Listing, *, resumed: bool) -> FeatureAnchor | None:
    """The pretrained encoder for L_fd, where it is asked for; on resume it is loaded again."""
    if not config.loss.feature_distance_weight:
        return None
    names = [name.strip() for name in config.loss.feature_distance_classes.split(",") if name.strip()]
    if unknown := set(names) - set(listing.space.classes):
        raise RunError(
            f"loss.feature_distance_classes names {', '.join(sorted(unknown))}, which is not among the classes "
            f"({', '.join(listing.space.classes)})."
        )
    device = next(network.parameters()).device
    pretrained = _build_network(config, listing.space.num_classes, None).to(device) if resumed else network
    classes = [listing.space.classes.index(name) for name in names] or range(listing.space.num_classes)
    return FeatureAnchor(pretrained.encoder, classes)


def _resolved(config: RunConfig, group: Group) -> Compute:
    device = group.device(config.training.device)
    return resolve(config.training.model_copy(update={"device": device}))


def _stored_compute(state: dict[str, Any], group: Group) -> Compute:
    """What the run computed with; a device that is gone is replaced, with a sentence in the log."""
    kind = str(state["device"]).partition(":")[0]
    stored = state["device"] if group.share.world == 1 else group.device(kind)
    try:
        choose_device(stored)
        device, reason = stored, state["device_reason"]
    except RunError:
        device, reason = choose_device()
        LOG.warning("The run was made on %s, which is not here; it goes on on %s.", stored, device)
    return Compute(device, reason, Precision(state["precision"]), state["threads"], state["channels_last"])


def versions(names: Sequence[str] = ("torch", "timm", "segmentation-models-pytorch", "numpy")) -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in names}}

"""Hold the state of a training run: networks, optimiser and data, with the verbs that the loop is made of."""

from __future__ import annotations

import logging
import platform
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from core.configuration.choices import TeacherStatistics
from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.dataset.listing import Listing
from core.events import Event, Model, Phase, Warned
from core.loading.prefetch import default_threads
from core.loading.random import generator
from core.loading.sampling import Batch, BatchSource
from core.method.draws import Share, draw, draw_boxes
from core.method.parts import part
from core.method.step import Images, masktwins_step, source_step
from core.method.student import Student
from core.method.teacher import Teacher
from core.method.transfer import to_device
from core.networks.build import Segmenter
from core.networks.prediction import Box
from core.networks.recompute import recompute_blocks
from core.networks.store import load_weights, model_card
from core.runs.folder import CheckpointRef
from core.training.building import check_crop, compute_of, feature_anchor, network_of, new_compute, new_network
from core.training.checkpoint import Snapshot, load_optimizer, read_state
from core.training.device import Compute, apply, why_not_compiled
from core.training.distributed import SOLO, Group, check_shares
from core.training.optim import StepGuard, build_optimizer, set_learning_rate
from core.training.statistics import estimate_statistics

logger = logging.getLogger(__name__)


class Session:
    """Hold what a run trains. It is built once per run or resume.

    Args:
        counts: pixels per source label and class (`core.loading.counting`), for rare-class sampling.
        stopping: whether to give up waiting for images that cannot be opened.

    Attributes:
        step: finished steps, source-only ones included.
        stored: content of the state.json it was resumed from; empty for a new run.
        warnings: what the reading threads report; the loop takes it from the left.

    Raises:
        RunError: the run cannot be made.
        CheckpointError, StoreError: the checkpoint is damaged.
    """

    def __init__(
        self,
        config: RunConfig,
        listing: Listing,
        resume_from: CheckpointRef | None = None,
        group: Group = SOLO,
        *,
        counts: np.ndarray | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        check_shares(config.training, group.share)
        self.config = config
        self.group = group
        self.listing = listing
        self.warnings: deque[Warned] = deque()
        self.stored: dict[str, Any] = read_state(resume_from.path) if resume_from else {}
        self.step = resume_from.step if resume_from else 0
        self.learning_rate = 0.0  # of the encoder, in the last step
        self.compute = self._compute()
        apply(self.compute)
        torch.manual_seed(config.training.seed)
        self.network = self._network(resume_from)
        self.optimizer = build_optimizer(self.network, config.training)
        self.detail_step = check_crop(self.network, config.training.crop_hw)
        self.anchor = feature_anchor(config, self.network, listing, resumed=resume_from is not None)
        self.teacher: Teacher | None = None
        self.guard = StepGuard(self.optimizer, [self.network], group.worst)
        self._estimated_step = -1  # whose teacher has its batch-norm statistics
        if resume_from:
            self._load(resume_from)
        self.student = Student(
            self.network,
            self.network.normalisation,
            self.compute.autocast,
            parallel=group.wrap(self.network),
            compiled=config.training.compile and self._can_compile(),
        )
        self.batches = self._batches(counts, stopping)

    # Building ----------------------------------------------------------------------------------

    def _compute(self) -> Compute:
        if not self.stored:
            return new_compute(self.config, self.group)
        compute, words = compute_of(self.stored, self.config, self.group)
        if words:
            logger.warning("%s", words)
            self.warnings.append(Warned("device", words))
        return compute

    def _network(self, resume_from: CheckpointRef | None) -> Segmenter:
        config, num_classes = self.config, self.listing.space.num_classes
        network = network_of(resume_from.path, num_classes) if resume_from else new_network(config, num_classes)
        self.warnings.extend(Warned("weights", note) for note in network.notes)
        if config.training.gradient_checkpointing and not recompute_blocks(network.encoder):
            words = "The encoder has no repeated blocks, so gradient checkpointing saves no memory in this run."
            self.warnings.append(Warned("checkpointing", words))
        network = network.to(self.compute.device)
        if self.compute.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.training.sync_batch_norm:
            network = self.group.synchronised(network)
        return network

    def _batches(self, counts: np.ndarray | None, stopping: Callable[[], bool]) -> BatchSource:
        listing, config = self.listing, self.config
        return BatchSource(
            listing.source,
            listing.target,
            listing.space,
            config.data,
            config.training,
            self.warnings.append,
            counts,
            stopping,
            pinned=self.compute.device.startswith("cuda"),
        )

    def _load(self, ref: CheckpointRef) -> None:
        load_weights(self.network, ref.path / "student.safetensors")
        load_optimizer(self.network, self.optimizer, ref.path / "optimizer.safetensors")
        if ref.is_source:
            return
        self.begin_adaptation()
        assert self.teacher is not None
        load_weights(self.teacher.network, ref.path / "teacher.safetensors")
        self.teacher.updated = self.stored.get("teacher_updated", -1)

    def _can_compile(self) -> bool:
        reason = why_not_compiled(self.compute.device)
        if reason:
            message = f"torch.compile does not work here, so the run continues without it. {reason}"
            self.warnings.append(Warned("compile", message))
        return not reason

    # Steps -------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return Phase.SOURCE if self.step < self.config.training.source_steps else Phase.ADAPT

    @property
    def adapt_step(self) -> int:
        """Return the finished adaptation steps; negative in the source-only phase."""
        return self.step - self.config.training.source_steps

    @property
    def at_source_end(self) -> bool:
        """Return whether the source-only steps are done and the teacher does not exist yet."""
        return self.adapt_step == 0 and self.teacher is None

    @property
    def at_end(self) -> bool:
        return self.step >= self.config.training.total_steps

    def change(self, changes: Mapping[str, Any]) -> None:
        """Train on with changed settings."""
        self.config = with_changes(self.config, changes)

    @property
    def loader_threads(self) -> int:
        """Return how many threads make batches ahead; 0: the training thread itself makes them."""
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
        """Make one optimiser step. Return the losses, and 1.0 where the step was left out; all on the device."""
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
        """Return HRDA's sub-crop of the source images in the present step; None for other networks."""
        if not self.detail_step:
            return None
        return draw_boxes(self.config, height, width, self.detail_step, self._generator("sub-crop")).source

    def to_device(self, batch: Batch) -> Images:
        """Copy a batch to the device as bytes, and scale it to 0..1 there."""
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

    # What others measure and save --------------------------------------------------------------

    def models(self) -> dict[Model, Segmenter]:
        """Return the models that exist at this moment."""
        found: dict[Model, Segmenter] = {Model.STUDENT: self.network}
        if self.teacher is not None:
            found[Model.TEACHER] = self.teacher.network  # type: ignore[assignment]
        return found

    def estimate_statistics(self) -> Iterator[Event]:
        """Give the teacher the batch-norm statistics it is measured and saved with; once a step, with progress.

        From the same images every time, so that a resumed run finds the same. By the main process: it alone saves, and an
        evaluation aligns the others with it.
        """
        if self.teacher is None or self._estimated_step == self.step or not self.group.is_main:
            return
        yield from estimate_statistics(self.teacher, self.network, self.listing, self.compute, self.config.training)
        self._estimated_step = self.step

    def snapshot(self) -> Snapshot:
        """Return what a checkpoint of this step holds. Call `estimate_statistics` first."""
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
            "versions": versions(),
        }
        return Snapshot(
            self.step,
            self.config.training.source_steps,
            self.network,
            self.teacher.network if self.teacher else None,
            self.optimizer,
            model_card(self.network, self.listing.space),
            state,
        )


Cut = TypeVar("Cut", Batch, Images)


def _part(whole: Cut, index: int, num_parts: int) -> Cut:
    """Return one of the equal parts of a batch; the whole where there is only one."""
    if num_parts == 1:
        return whole
    return type(whole)(*(tensor.chunk(num_parts)[index] for tensor in vars(whole).values()))


def versions(names: Sequence[str] = ("torch", "timm", "segmentation-models-pytorch", "numpy")) -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in names}}

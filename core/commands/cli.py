"""The command line. Each sub-command imports what it needs when it runs, so that `--help` is quick.

With `--json` the last line on stdout is one JSON object; progress goes to stderr. Exit codes: 0 done, 1 failed with one
clear sentence, 2 usage, 130 stopped by Ctrl-C with a checkpoint (a second Ctrl-C ends at once).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from core.commands import data, installation, measure, models, train
from core.commands import evaluate as evaluation
from core.commands import labels as other_labels
from core.commands.failures import Parser, UsageError, abandon_output, failed, prepare_output
from core.commands.output import FAILED, INTERRUPTED
from core.configuration.choices import Precision
from core.configuration.paths import DataRoot, parse_data_root
from core.configuration.settings import presets, settings
from core.errors import ConfigError
from core.events import Model

COMMANDS = (
    "demo", "check", "labels", "convert", "init", "adapt", "measure", "evaluate", "predict", "export", "verify", "bench", "doctor",
)  # fmt: skip

Command = Callable[[str, Callable[..., int], str], argparse.ArgumentParser]  # name, function, help


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code; whatever fails ends in one sentence."""
    words = list(sys.argv[1:] if argv is None else argv)
    prepare_output()
    try:
        return _run(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except UsageError as error:
        raise SystemExit(failed(error, as_json="--json" in words)) from None
    except BrokenPipeError:
        abandon_output()
        return FAILED
    except Exception as error:  # noqa: BLE001 - the edge of the process: shown in words, unforeseen ones logged
        code = failed(error, as_json="--json" in words)
        if isinstance(error, OSError) and error.filename is None:  # stdout's disk is full, most often
            abandon_output()
        return code


def _run(words: Sequence[str]) -> int:
    parser = build_parser()
    arguments = parser.parse_args(words)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    code = arguments.run(arguments, parser)
    sys.stdout.flush()  # here, where a full disk can still be reported
    return code


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="masktwins",
        description="Adapt a segmentation model to a new camera without new labels. Without a sub-command the window opens.",
    )
    subparsers = parser.add_subparsers(title="sub-commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    for add in (
        _add_demo,
        _add_check,
        _add_labels,
        _add_convert,
        _add_init,
        _add_adapt,
        _add_measure,
        _add_evaluate,
        _add_predict,
        _add_export,
        _add_verify,
        _add_bench,
        _add_doctor,
    ):
        add(command)
    return parser


def _add_demo(command: Command) -> None:
    parser = command(
        "demo", train.demo, "make the two-camera demo and adapt on it (opens the window unless --headless)"
    )
    parser.add_argument("directory", nargs="?", type=Path, default=Path("masktwins-demo"), metavar="DIR")
    parser.add_argument("--headless", action="store_true", help="adapt and measure in the terminal")
    parser.add_argument("--seed", type=int, default=0, help="of the images and of the training")
    parser.add_argument(
        "--steps", type=_positive, help="adaptation steps, with half as many source-only ones before them"
    )
    _json(parser)


def _add_check(command: Command) -> None:
    parser = command("check", data.check, "report what is wrong with the folders; exit 1 when there are errors to fix")
    _folders(parser)
    _data(parser)
    parser.add_argument("--crop", type=_positive, default=None, metavar="PX", help="warn of images smaller than this")
    parser.add_argument(
        "--pictures", type=Path, metavar="OUT", help="write a sheet of labels over images for each camera"
    )
    _json(parser)


def _add_labels(command: Command) -> None:
    parser = command("labels", other_labels.labels, "write a draft of a label space from label files, to be edited")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, metavar="label_space.toml", help="default: print it")
    parser.add_argument("--files", default="", metavar="LIST|PATTERNS", help="which files: a list's path, or patterns")
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="names of the classes: labelmap.txt, config.json, COCO categories, a list",
    )


def _add_convert(command: Command) -> None:
    parser = command(
        "convert",
        other_labels.convert,
        "write image folders and a label space from COCO, LabelMe, CVAT, arrays, stacks, videos",
    )
    parser.add_argument("input", type=Path, metavar="IN")
    parser.add_argument("output", type=Path, metavar="OUT")
    parser.add_argument("--images", type=Path, metavar="D", help="the images that the annotations or masks belong to")
    parser.add_argument(
        "--every", type=_above_zero, default=1.0, metavar="SECONDS", help="videos: between two frames (1)"
    )
    parser.add_argument(
        "--min-change",
        type=float,
        default=2.0,
        metavar="LEVELS",
        help="videos: leave out frames that differ by less (2)",
    )
    parser.add_argument("--as-stored", action="store_true", help="images: do not turn them by their EXIF orientation")
    parser.add_argument(
        "--intensity",
        choices=("image", "folder"),
        default="",
        help="images: stretch grey levels by percentiles of each",
    )
    _json(parser)


def _add_init(command: Command) -> None:
    parser = command("init", data.init, "write a run's configuration")
    parser.add_argument("out", type=Path, metavar="OUT.toml")
    _folders(parser)
    _data(parser)
    parser.add_argument("--preset", choices=list(presets()), default="quick")


def _add_adapt(command: Command) -> None:
    parser = command("adapt", train.adapt, "train, or go on with a run")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "settings:\n" + "\n".join(f"  {s.path:34}{s.title} ({s.default})" for s in settings())
    parser.add_argument("config", nargs="?", type=Path, metavar="RUN.toml")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="a run's folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the new run's folder")
    parser.add_argument(
        "--more-steps",
        type=_positive,
        default=0,
        metavar="N",
        help="with --resume: N steps beyond the run's end, also of a finished one. The learning rate follows the schedule of "
        "the new length from there on, so it rises again; the warm-up stays as long as it was",
    )
    _data_root(parser)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="section.field=value")
    _json(parser)


def _add_measure(command: Command) -> None:
    parser = command(
        "measure", measure.measure, "make a few real steps: seconds, memory, disk and the total time of a run"
    )
    parser.add_argument("config", type=Path, metavar="RUN.toml")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="section.field=value")
    _json(parser)


def _add_evaluate(command: Command) -> None:
    parser = command("evaluate", evaluation.evaluate, "score a model against labels")
    _model(parser)
    parser.add_argument("--images", type=Path, required=True, metavar="D")
    parser.add_argument("--labels", type=Path, required=True, metavar="D")
    parser.add_argument("--label-space", default="auto", metavar="NAME|TOML", help="how to read the labels")
    parser.add_argument("--classes", metavar="a,b,c", help="classes to average over")
    parser.add_argument(
        "--allow-unknown",
        type=_share,
        default=0.01,
        metavar="SHARE",
        help="share of pixels that may have values unknown to the label space (0.01); more fail",
    )
    _pairing(parser, default="")
    parser.add_argument("--files", default="", metavar="LIST|PATTERNS", help="which images: a list's path, or patterns")
    _device(parser)
    _inference(parser)
    _json(parser)


def _add_predict(command: Command) -> None:
    parser = command("predict", models.predict, "segment an image, a folder or a video file")
    _model(parser)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    kind = parser.add_mutually_exclusive_group()
    for name in ("ids", "colours", "overlay"):
        kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name)
    parser.set_defaults(kind="ids")
    _device(parser)
    _inference(parser)


def _add_export(command: Command) -> None:
    parser = command(
        "export", models.export, "write a model's weights for use elsewhere, each file reloaded and compared"
    )
    _model(parser)
    parser.add_argument("out", type=Path)
    parser.add_argument("--format", default="safetensors", metavar="safetensors,onnx,pt2")
    parser.add_argument(
        "--images", type=Path, metavar="D", help="images to compare on (default: the run's target images)"
    )
    _data_root(parser)
    _device(parser)
    _json(parser)


def _add_verify(command: Command) -> None:
    parser = command("verify", _verify, "compare the files of a run or a bundle with their checksums, and read them")
    parser.add_argument("path", type=Path, metavar="RUN|BUNDLE")
    _json(parser)


def _add_bench(command: Command) -> None:
    parser = command("bench", installation.bench, "seconds per step and where they go")
    parser.add_argument("--steps", type=_positive, default=10)
    _device(parser)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="the configuration of this name, or those whose name holds it"
    )
    _json(parser)


def _add_doctor(command: Command) -> None:
    _json(command("doctor", installation.doctor, "what this installation can do, and what stands in its way"))


def _data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-root",
        type=_root,
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="the data that lay in the folder OLD lie in NEW now; may be given several times",
    )


def _root(text: str) -> DataRoot:
    try:
        return parse_data_root(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda|cuda:1|mps", help="where the network runs")


def _inference(parser: argparse.ArgumentParser) -> None:
    """Add the options of a prediction: those that decide its memory and its speed."""
    precisions = [precision.value for precision in Precision]
    parser.add_argument("--precision", choices=precisions, default="auto", help="auto: bf16 on CUDA cards that have it")
    parser.add_argument(
        "--window",
        type=_window,
        metavar="PX|HEIGHTxWIDTH",
        help="predict by a sliding window of this size, for images that do not fit the memory whole",
    )
    parser.add_argument("--batch", type=_positive, default=4, metavar="N", help="images or windows at a time (4)")


def _window(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return _positive(height), _positive(width or height)


def _data(parser: argparse.ArgumentParser) -> None:
    """The settings of [data] that say what the folders hold."""
    add = parser.add_argument
    add("--target-labels", type=Path, metavar="D", help="for measuring only")
    add("--evaluation-images", type=Path, metavar="D", help="images of the target labels, if others")
    add("--label-space", metavar="NAME|TOML", help="how to read the labels; default: recognised")
    add("--source-label-space", metavar="NAME|TOML", help="the same for the source alone")
    add("--target-label-space", metavar="NAME|TOML", help="the same for the target alone; classes are matched by name")
    _pairing(parser)
    add(
        "--target-pair",
        dest="target_pairing",
        metavar="IMAGE:LABEL",
        help="the same for the target; default: as --pair",
    )
    for camera in ("source", "target", "evaluation"):
        add(f"--{camera}-files", metavar="LIST|PATTERNS", help=f"which {camera} images: a list's path, or patterns")
    add(
        "--allow-unknown",
        type=_share,
        metavar="SHARE",
        help="share of label pixels that may have unknown values (0.01)",
    )


def _pairing(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "--pair",
        dest="pairing",
        default=default,
        metavar="IMAGE:LABEL",
        help="how names belong together, such as 'IMG_{id}.JPG:IMG_{id}_mask.png'; default: inferred",
    )


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return value


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _verify(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.commands.verify import verify  # it loads torch

    return verify(arguments, parser)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def _folders(parser: argparse.ArgumentParser) -> None:
    for name in ("source-images", "source-labels", "target-images"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="D")


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run, a checkpoint or an exported bundle")
    parser.add_argument("--weights", choices=[m.value for m in Model], default=Model.TEACHER.value)
    parser.add_argument("--checkpoint", default="last", metavar="last|best|STEP")

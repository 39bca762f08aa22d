import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder
from segmentation_models_pytorch.encoders.mix_transformer import LayerNorm

from core.configuration.choices import Architecture
from core.configuration.sections import NetworkConfig
from core.networks import foreign
from core.networks.build import build
from core.networks.foreign import MatchReport, load_into, read_foreign, released_name
from core.networks.hrda import Hrda
from core.networks.segmenter import NetworkError, Segmenter
from tests.core.released import released_hrda, released_network, released_plain

State = dict[str, torch.Tensor]


def names_of_the_release(network: Segmenter) -> State:
    """A network's tensors as the released code would name them."""
    state = {}
    of_decoder = "decode_head.head." if isinstance(network, Hrda) else "decode_head."
    for name, tensor in network.state_dict().items():
        for ours, theirs in (
            ("encoder.", "backbone."),
            ("head.decoder.", of_decoder),
            ("head.classifier.", f"{of_decoder}conv_seg."),
            ("scale_attention.classifier.", "decode_head.scale_attention.conv_seg."),
            ("scale_attention.", "decode_head.scale_attention."),
        ):
            if name.startswith(ours):
                state[theirs + name.removeprefix(ours)] = tensor.clone()
                break
    return state


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def assert_same(first: torch.nn.Module, second: torch.nn.Module) -> None:
    a, b = first.state_dict(), second.state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def network(architecture: Architecture, encoder: str, num_classes: int = 3, seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    return build(NetworkConfig(architecture=architecture, encoder=encoder, weights="none"), num_classes)


# The released code's checkpoints ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "hrda"])
def test_the_golden_weights_are_taken_whole(golden_folder, kind):
    path = golden_folder / f"golden_step_{kind}.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    with np.load(path, allow_pickle=False) as arrays:
        state = {n.removeprefix("init/"): torch.from_numpy(arrays[n]) for n in arrays if n.startswith("init/")}
    started = released_network(kind)
    report = load_into(started, state, path.name)
    assert (report.missing, report.left_over, report.reshaped, report.notes) == ((), (), (), ())
    assert len(report.taken) == len(state) == len(started.state_dict())
    own = started.state_dict()
    assert all(torch.equal(own[released_name(name)], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("kind", ["plain", "hrda"])
@pytest.mark.parametrize("prefix", ["", "model.", "ema_model.", "module.", "module.model."])
def test_a_training_state_of_the_released_code_is_read(tmp_path, kind, prefix):
    trained, started = released_network(kind), released_network(kind)
    path = tmp_path / "iter_40000.pth"
    state = prefixed(prefix, names_of_the_release(trained))
    torch.save({"meta": {"epoch": 1, "CLASSES": ["road"]}, "state_dict": state, "optimizer": {"state": {}}}, path)
    report = load_into(started, read_foreign(path), path.name)
    assert_same(started, trained)
    assert report.notes == ()


def test_the_teacher_is_preferred_and_the_frozen_encoder_left_out(caplog):
    student, teacher, started = released_plain(), released_plain(), released_plain()
    state = {
        **prefixed("imnet_model.", names_of_the_release(released_plain())),
        **prefixed("model.", names_of_the_release(student)),
        **prefixed("ema_model.", names_of_the_release(teacher)),
    }
    with caplog.at_level(logging.WARNING):
        report = load_into(started, state, "latest.pth")
    assert_same(started, teacher)
    assert [("teacher is taken" in note, "imnet_model" in note) for note in report.notes] == [
        (True, False),
        (False, True),
    ]
    assert all(note in caplog.text for note in report.notes)
    assert len(report.left_over) == 2 * len(report.taken)
    assert all(name.startswith(("model.", "imnet_model.")) for name in report.left_over)


@pytest.mark.parametrize("wrapper", ["teacher", "ema_model", "model_ema"])
def test_a_teacher_in_a_dictionary_of_its_own_is_preferred(tmp_path, wrapper):
    student, teacher, started = released_plain(), released_plain(), released_plain()
    torch.save({"model": names_of_the_release(student), wrapper: names_of_the_release(teacher)}, tmp_path / "a.pth")
    report = load_into(started, read_foreign(tmp_path / "a.pth"), "a.pth")
    assert_same(started, teacher)
    assert report.notes == ("a.pth holds a student and a teacher; the teacher is taken.",)


@pytest.mark.parametrize("kind", ["plain", "hrda"])
def test_other_classes_renew_the_classifiers_alone(kind):
    trained, started = released_network(kind), released_network(kind)
    state = names_of_the_release(trained)
    classifiers = [name for name in state if "conv_seg" in name]
    for name in classifiers:
        state[name] = torch.zeros(19, *state[name].shape[1:])
    before = started.head.classifier.weight.clone()
    report = load_into(started, state, "cityscapes.pth")
    assert_same(started.encoder, trained.encoder)
    assert_same(started.head.decoder, trained.head.decoder)
    assert torch.equal(started.head.classifier.weight, before)
    assert {name.rpartition(".")[0] for name in report.missing} == {
        name.rpartition(".")[0] for name in started.state_dict() if "classifier" in name
    }
    assert len(report.notes) == 1
    assert "other classes than these 5" in report.notes[0]
    assert len(report.reshaped) == len(classifiers)
    assert report.reshaped[0].endswith("(5, 16, 1, 1) here: it starts new.")


def test_hrda_takes_a_plain_checkpoint_and_says_what_is_new():
    trained, started = released_plain(), released_hrda()
    report = load_into(started, names_of_the_release(trained), "daformer.pth")
    assert_same(started.encoder, trained.encoder)
    assert_same(started.head, trained.head)
    assert all(name.startswith("scale_attention.") for name in report.missing)
    assert report.notes == ("daformer.pth holds no scale attention of HRDA's: that starts new.",)


def test_a_plain_network_takes_hrdas_encoder_and_head():
    trained, started = released_hrda(), released_plain()
    report = load_into(started, names_of_the_release(trained), "hrda.pth")
    assert_same(started.head, trained.head)
    assert "network.hrda" in report.notes[0]
    assert all(name.startswith("decode_head.scale_attention.") for name in report.left_over)


def test_another_decoder_leaves_nothing_but_the_encoder():
    trained, started = released_hrda(), released_hrda()
    state = {name: t for name, t in names_of_the_release(trained).items() if "bottleneck" not in name}
    head = {name: t.clone() for name, t in started.state_dict().items() if not name.startswith("encoder.")}
    report = load_into(started, state, "other.pth")
    assert_same(started.encoder, trained.encoder)
    assert all(torch.equal(started.state_dict()[name], tensor) for name, tensor in head.items())
    assert report.notes == (
        "other.pth holds no decoder of this architecture: only the encoder is taken, the head starts new.",
    )


# Other origins ---------------------------------------------------------------------------------


def segformer_names(network: Segmenter) -> State:
    """As the released SegFormer names them; its unused `conv_seg` is there too."""
    state = {"decode_head.conv_seg.weight": torch.zeros(3, 256, 1, 1)}
    for name, tensor in network.state_dict().items():
        theirs = name.replace("encoder.", "backbone.").replace("head.classifier.", "decode_head.linear_pred.")
        for stage in range(4):
            theirs = theirs.replace(f"head.decoder.mlp_stage.{stage}.linear.", f"decode_head.linear_c{4 - stage}.proj.")
        theirs = theirs.replace("head.decoder.fuse_stage.0.", "decode_head.linear_fuse.conv.")
        state[theirs.replace("head.decoder.fuse_stage.1.", "decode_head.linear_fuse.bn.")] = tensor.clone()
    return state


def test_the_released_segformer_is_taken_whole():
    trained, started = (network(Architecture.SEGFORMER, "mit_b0", seed=seed) for seed in (1, 2))
    report = load_into(started, segformer_names(trained), "segformer.pth")
    assert_same(started, trained)
    assert report.left_over == ("decode_head.conv_seg.weight",)
    assert report.notes == ()


def test_a_bare_mit_file_starts_the_encoder(tmp_path):
    trained, started = (network(Architecture.DAFORMER, "mit_b0", seed=seed) for seed in (1, 2))
    state = {**trained.encoder.state_dict(), "head.weight": torch.zeros(1000, 256), "head.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "mit_b0.pth")
    report = load_into(started, read_foreign(tmp_path / "mit_b0.pth"), "mit_b0.pth")
    assert_same(started.encoder, trained.encoder)
    assert report.left_over == ("head.bias", "head.weight")
    assert "only the encoder is taken" in report.notes[0]


def test_a_linear_embedding_may_be_stored_as_a_convolution():
    trained, started = released_plain(), released_plain()
    state = names_of_the_release(trained)
    name = "decode_head.embed_layers.0.proj.weight"
    state[name] = state[name][:, :, None, None]
    report = load_into(started, state, "a.pth")
    assert_same(started, trained)
    assert report.reshaped == (f"{name} is (16, 8, 1, 1) in the file and (16, 8) here: the same values are taken.",)


def test_old_files_without_counters_are_whole():
    trained, started = released_plain(), released_plain()
    state = {name: t for name, t in names_of_the_release(trained).items() if not name.endswith("num_batches_tracked")}
    report = load_into(started, state, "old.pth")
    assert report.missing == ()
    assert report.notes == ()


def test_the_encoder_that_a_file_holds_is_named():
    tensors = network(Architecture.SEGFORMER, "mit_b0").encoder.state_dict()
    for prefix in ("", "backbone.", "model.backbone."):
        with pytest.raises(NetworkError, match=r"file\.pth.*mit_b1.*set network\.encoder to mit_b0\."):
            load_into(network(Architecture.SEGFORMER, "mit_b1"), prefixed(prefix, tensors), "file.pth")


def test_a_file_of_no_known_encoder_changes_nothing():
    started = released_plain()
    before = {name: tensor.clone() for name, tensor in started.state_dict().items()}
    with pytest.raises(NetworkError, match="the encoder of that file"):
        load_into(started, {"conv1.weight": torch.zeros(3)}, "file.pth")
    assert all(torch.equal(tensor, before[name]) for name, tensor in started.state_dict().items())


def test_the_report_says_it_in_words():
    report = MatchReport("a.pth", ("a", "b"), ("c",), ("d", "e", "f", "g"), ("x is smaller.",), ("Mind this.",))
    assert report.summary() == (
        "2 of 3 tensors come from a.pth. Mind this. These start new: c. "
        "The file's other 4 tensors are not used: d, e, f and 1 more. x is smaller."
    )


@pytest.mark.parametrize("size", range(6))
def test_the_librarys_mit_is_the_released_one(size):
    """LayerNorm ε as released; another changes the gradients of masked patches by 25 % and more."""
    name = f"mit_b{size}"
    params = foreign.mix_transformer_encoders[name]["params"]
    assert (params["qkv_bias"], params["mlp_ratios"], params["drop_path_rate"]) == (True, [4, 4, 4, 4], 0.1)
    assert params["norm_layer"].keywords == {"eps": 1e-6}
    if size > 0:
        return
    encoder = get_encoder(name)
    eps = {n: module.eps for n, module in encoder.named_modules() if isinstance(module, LayerNorm)}
    for n, value in eps.items():
        assert value == (1e-5 if n.startswith("patch_embed") or ".attn." in n else 1e-6), n
    assert len(eps) == 4 + 4 + 2 * 8 + 6


class Code:
    def __reduce__(self):
        return (Path.touch, (Path("ran.txt"),))


def test_code_in_a_file_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "hook": Code()}, "file.pth")
    with pytest.raises(NetworkError, match="never run"):
        read_foreign(Path("file.pth"))
    assert not Path("ran.txt").exists()

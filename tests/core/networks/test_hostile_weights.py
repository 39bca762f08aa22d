"""Weights files of strangers: each ends in one sentence, whatever it holds, and nothing of it is run."""

import io
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.networks import foreign
from core.networks.foreign import load_into, read_foreign
from core.networks.segmenter import NetworkError
from tests.core.networks.small import network


def quantised():
    return torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)


def deep(depth=3000):
    content = {"a": torch.ones(1)}
    for _ in range(depth):
        content = {"state_dict": content}
    return content


def cyclic():
    content: dict = {"a": 1}
    content["state_dict"] = content
    return content


HOSTILE = {
    "sparse": lambda: {"w": torch.eye(3).to_sparse()},
    "compressed rows": lambda: {"w": torch.eye(3).to_sparse_csr()},
    "meta": lambda: {"w": torch.empty(3, device="meta")},
    "quantised": lambda: {"w": quantised()},
    "nested": lambda: {"w": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])},
    "float8": lambda: {"w": torch.ones(3).to(torch.float8_e4m3fn)},
    "not a number": lambda: {"w": torch.tensor([1.0, float("nan")])},
    "infinite": lambda: {"w": torch.tensor([float("inf")], dtype=torch.float16)},
    "deep": deep,
    "cyclic": cyclic,
    "a list": lambda: [torch.ones(3)],
    "a tensor": lambda: torch.ones(3),
    "nothing": dict,
    "numbers": lambda: {"w": 1, 2: "x"},
    "a module": lambda: torch.nn.Linear(2, 2),
    "too many": lambda: dict.fromkeys(map(str, range(foreign.MAX_TENSORS + 1)), torch.ones(1)),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch on sparse and quantised tensors
def test_what_holds_no_plain_weights_is_refused(tmp_path, name, new):
    path = tmp_path / "hostile.pth"
    try:
        torch.save(HOSTILE[name](), path, _use_new_zipfile_serialization=new)
    except (RuntimeError, RecursionError) as error:  # the older form cannot hold all of these
        pytest.skip(str(error))
    with pytest.raises(NetworkError, match=r"hostile\.pth (holds|cannot be read)"):
        read_foreign(path)


def rewritten(path: Path, change) -> None:
    """Write an archive again, with each entry (name, content, compression) as `change` gives it."""
    with zipfile.ZipFile(path) as archive:
        entries = [change(entry.filename, archive.read(entry), entry.compress_type) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, compression in entries:
            archive.writestr(zipfile.ZipInfo(name), content, compression)


def test_a_compressed_archive_is_not_unpacked(tmp_path):
    """20 MB of zeros take 20 kB in it."""
    path = tmp_path / "bomb.pth"
    torch.save({"w": torch.zeros(1000)}, path)
    rewritten(path, lambda name, content, _: (name, content + bytes(20_000_000), zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(NetworkError, match=r"bomb\.pth cannot be read"):
        read_foreign(path)


def test_a_list_without_end_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "MAX_PICKLE_BYTES", 100)
    torch.save({f"w{i}": torch.zeros(1) for i in range(20)}, tmp_path / "long.pth")
    with pytest.raises(NetworkError, match=r"long\.pth cannot be read"):
        read_foreign(tmp_path / "long.pth")


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x80\x02.", b"PK\x03\x04", b"\x80\x02}q\x00.", b"x" * 100])
def test_no_pickle_at_all(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(NetworkError, match=r"a\.pth"):
        read_foreign(tmp_path / "a.pth")


def test_other_pickles_are_not_run(tmp_path):
    for protocol in range(6):
        (tmp_path / "a.pth").write_bytes(pickle.dumps({"w": Path}, protocol=protocol))
        with pytest.raises(NetworkError, match=r"never run|no weights"):
            read_foreign(tmp_path / "a.pth")


def test_a_shape_beyond_the_numbers_is_refused(tmp_path):
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(7, 11)}, buffer)
    path = tmp_path / "shape.pth"
    path.write_bytes(buffer.getvalue())
    rewritten(path, lambda name, content, how: (name, content.replace(b"K\x07K\x0b", b"K\x77K\x7b"), how))
    with pytest.raises(NetworkError, match=r"shape\.pth cannot be read"):
        read_foreign(path)


def test_a_named_pipe_is_not_waited_for(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(NetworkError, match=r"pipe\.pth"):
        read_foreign(tmp_path / "pipe.pth")


# Plain, but no network -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_whole_or_complex_numbers_are_no_weights(tmp_path, dtype):
    segmenter = network()
    state = {name: tensor.to(dtype) for name, tensor in segmenter.state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(NetworkError, match="does not hold the weights"):
            load_into(segmenter, read_foreign(tmp_path / "a.safetensors"), "a.safetensors")


def test_half_precision_is_taken(tmp_path):
    segmenter = network()
    state = {n: t.half() if t.is_floating_point() else t for n, t in segmenter.state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    report = load_into(segmenter, read_foreign(tmp_path / "a.safetensors"), "a.safetensors")
    assert not report.missing


def test_a_number_in_the_place_of_a_weight(tmp_path):
    with pytest.raises(NetworkError, match="does not hold the weights"):
        load_into(network(), {"patch_embed1.proj.weight": torch.tensor(1.0), "": torch.ones(0)}, "a.pth")

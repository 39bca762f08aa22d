"""Inputs that the bench found to end in a traceback, once."""

from pathlib import Path

import pytest

from tests.torture import corpus
from tests.torture.readers import SENTENCES, readers

FOUND = [
    ("label space", b'[[classes]]\nname = "a"\nvalues = [' + b"9" * 5000 + b"]\n"),
    ("metrics", b"step,total\n1," + b"9" * 200_000 + b"\n"),
    ("metrics", b"step,total\n1,\r2\n"),
    ("changes", b'{"step": 1e999, "changes": {}}\n'),
    ("changes", b'{"step": 1, "changes": ' + b"[" * 100_000 + b"}\n"),
    ("class names", b"name,r,g,b\nroad,1\n"),
    ("class names", b'{"labels": [true]}'),
    ("class names", b'{"categories": [{"id": 1e999, "name": "a"}]}'),
]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    folder = tmp_path_factory.mktemp("found")
    corpus.make(folder / "corpus")
    return readers(folder / "corpus" / "checkpoint", folder)


@pytest.mark.parametrize(("kind", "content"), FOUND, ids=[f"{kind} {i}" for i, (kind, _) in enumerate(FOUND)])
def test_it_is_read_or_ends_in_a_sentence(known, tmp_path, kind, content):
    name, read = known[kind]
    path = Path(tmp_path / name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        read(path)
    except SENTENCES as error:
        assert str(error)

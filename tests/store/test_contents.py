"""What a file says about itself: cut anywhere it is truncated, changed anywhere it is altered."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayesrun.store import contents
from bayesrun.store.contents import of_data, of_json, of_lines, of_page, of_picture, of_recorded
from bayesrun.store.whole_files import facts_of, sealed

LOOKS = {"a.png": of_picture, "a.json": of_json, "a.html": of_page, "a.nc": of_data}


def picture() -> bytes:
    from matplotlib.figure import Figure

    content = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(content, format="png")
    return content.getvalue()


@pytest.fixture(params=LOOKS)
def written(request, tmp_path) -> Path:
    path = tmp_path / request.param
    if path.suffix == ".nc":
        xr.Dataset({"y": ("obs", np.arange(50.0))}).to_netcdf(path, engine="netcdf4")
    else:
        path.write_bytes({".png": picture, ".json": lambda: sealed({"a": [1, 2]}).encode(),
                          ".html": lambda: b"<html>\n<p>" + b"a" * 60 + b"</p>\n</html>\n"}[path.suffix]())  # fmt: skip
    return path


def kind(path: Path) -> str:
    harm = LOOKS[path.name](path)
    return "" if harm is None else harm.kind


def test_what_is_whole_is_called_whole_and_what_is_not_there_missing(written):
    assert kind(written) == ""
    written.unlink()
    assert kind(written) == "missing"


def test_a_file_that_was_cut_anywhere_is_truncated(written):
    content = written.read_bytes()
    whole = len(content.rstrip(b"\n"))
    for length in {0, 1, 5, 30, whole // 3, whole // 2, whole - 20, whole - 1}:
        written.write_bytes(content[: max(length, 0)])
        assert kind(written) == "truncated", length


@pytest.mark.parametrize("place", [0.2, 0.5, 0.7])
def test_a_bit_that_changed_in_a_picture_or_in_json_is_found(tmp_path, place):
    for name, content in {"a.png": picture(), "a.json": sealed({"a": list(range(90))}).encode()}.items():
        changed = bytearray(content)
        changed[int(place * len(content))] ^= 1
        (tmp_path / name).write_bytes(changed)
        assert kind(tmp_path / name) == "altered"


@pytest.mark.parametrize("text", ["[1]", "nothing", '{"a": 1}}', "\x00" * 20])
def test_what_is_no_json_of_ours_is_altered(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert kind(tmp_path / "a.json") == "altered"


def test_lines_are_counted_and_the_last_may_be_cut(tmp_path):
    path = tmp_path / "journal.jsonl"
    lines = [json.dumps({"uri": "u", "key": str(i)}) for i in range(4)]
    path.write_text("\n".join([*lines, '{"uri": "u", "ke']))
    assert of_lines(path) is None
    path.write_text("\n".join([lines[0], "{torn", "[1]", *lines]) + "\n")
    assert of_lines(path) == ("altered", "2 of its 7 lines are none that were written")


def test_what_was_written_down_of_a_file_is_compared(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abcd")
    size, checksum = facts_of(path)
    assert of_recorded(path, size, checksum) is None
    assert of_recorded(path, 0, "") is None
    path.write_bytes(b"abcx")
    assert of_recorded(path, size, checksum) == contents.CHANGED
    path.write_bytes(b"ab")
    assert of_recorded(path, size, checksum) == ("truncated", "it has 2 bytes, and was written with 4")
    path.write_bytes(b"abcdef")
    assert of_recorded(path, size, checksum) == ("altered", "it has 6 bytes, and was written with 4")
    path.unlink()
    path.mkdir()
    assert of_recorded(path, size, checksum) == ("altered", "it cannot be read: Is a directory")

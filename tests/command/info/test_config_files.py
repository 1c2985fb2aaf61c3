"""Keys of a config with their defaults as written and the comments about them."""

import pytest
import yaml

from bayesrun.command.info.config_files import head_of, read_config
from bayesrun.errors import ConfigError

TEXT = """\
# @package _global_
# What it is: bayesrun model=mine
# in two lines.   bayesrun +experiment=mine
defaults:
  - override /data@_global_.data: design
  - override /hydra/launcher: x
  - parent
  - optional group: name
  - _self_

_target_: package.module.build
plain: 1e-3 # inline
text: "a # b"  # of a text
     # that goes on
# above it,
# in two lines
next: null # and behind
empty:
flow: {a: 1,
  b: [2, 3]} # of a mapping
folded: >-
  first
  second
section: # of a section
  # of inner
  inner: true
  block:
    - 1
    - x: y
must: ???
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    return read_config(path)


def test_the_head_has_words_and_command_lines(config):
    assert config.head == head_of(config.path) == "What it is in two lines."
    assert config.examples == ("bayesrun model=mine", "bayesrun +experiment=mine")
    assert config.is_global


def test_what_it_chooses_and_is_made_on(config):
    assert config.chosen == {"data": "design", "group": "name"}
    assert config.bases == ("parent",)
    assert config.target == "package.module.build"


def test_keys_have_defaults_and_comments(config):
    found = {entry.name: (entry.default, entry.value, entry.inline, entry.above) for entry in config.entries}
    assert found == {
        "plain": ("1e-3", 0.001, "inline", ""),
        "text": ('"a # b"', "a # b", "of a text that goes on", ""),
        "next": ("null", None, "and behind", "above it, in two lines"),
        "empty": ("null", None, "", ""),
        "flow": ("{a: 1, b: [2, 3]}", {"a": 1, "b": [2, 3]}, "of a mapping", ""),
        "folded": ("first second", "first second", "", ""),
        "section": (
            "{inner: true, block: [1, {x: y}]}",
            {"inner": True, "block": [1, {"x": "y"}]},
            "of a section",
            "",
        ),
        "must": ("???", "???", "", ""),
    }
    section = next(entry for entry in config.entries if entry.name == "section")
    assert [(entry.name, entry.above, entry.default) for entry in section.below] == [
        ("inner", "of inner", "true"),
        ("block", "", "[1, {x: y}]"),
    ]


def test_a_file_without_keys(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("# only words")
    assert (read_config(path).head, read_config(path).entries) == ("only words", ())
    path.write_text("- a\n")
    with pytest.raises(ConfigError, match="it has no keys; wanted KEY: VALUE lines"):
        read_config(path)
    path.write_text("a: [\n")
    with pytest.raises(yaml.MarkedYAMLError, match=r"mine\.yaml"):
        read_config(path)
    path.write_bytes("# Größe\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"mine\.yaml: byte 5 is no UTF-8; save the file as UTF-8"):
        read_config(path)

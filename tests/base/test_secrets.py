"""What is secret in texts and configs, and what is not."""

import doctest

import pytest

from bayesrun.base import secrets
from bayesrun.base.secrets import HIDDEN, is_secret, keep_to_oneself, public, public_address, without_secrets


@pytest.fixture(autouse=True)
def own_memory(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())


def test_examples():
    found = doctest.testmod(secrets)
    assert found.attempted > 3
    assert found.failed == 0


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@host:5000/x", "https://host:5000/x"),
        ("https://me:p@ss:w@host/x", "https://host/x"),
        ("postgresql+psycopg2://u:p%40ss@db/bayes?sslmode=on&password=x", f"postgresql+psycopg2://db/bayes?sslmode=on&password={HIDDEN}"),
        ("s3://KEY:SECRET@bucket/a.csv", "s3://bucket/a.csv"),
        ("az://c/a.csv?sv=2020&sig=a%2Fb%3D", f"az://c/a.csv?sv=2020&sig={HIDDEN}"),
        ("https://h/a?X-Amz-Signature=ab&X-Amz-Date=1", f"https://h/a?X-Amz-Signature={HIDDEN}&X-Amz-Date=1"),
        ("sqlite:////tmp/studies/mlflow.db", "sqlite:////tmp/studies/mlflow.db"),
        ("https://h/a@b/c?year=2020#part", "https://h/a@b/c?year=2020#part"),
        ("mail me@host or see 3:4@5", "mail me@host or see 3:4@5"),
        ("two: http://a:b@c/d, 'http://e:f@g'", "two: http://c/d, 'http://g'"),
    ],
)  # fmt: skip
def test_addresses(address, shown):
    assert public_address(address) == shown
    assert public_address(shown) == shown


@pytest.mark.parametrize("name", ["DB_PASSWORD", "passwd", "aws_session_token", "client-secret", "apiKey", "model.key"])
def test_names_of_secrets(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["monkey", "keyboard", "passengers", "authors", "design", "tokenizer", "signal", "compass"]
)
def test_names_that_are_none(name):
    assert not is_secret(name)


def test_the_environment_is_hidden_in_messages_and_alone_in_configs(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "numpyro")
    monkeypatch.setenv("SSH_AUTH", "/run/agent/1")
    monkeypatch.setenv("SHORT_KEY", "ab")
    assert without_secrets("401 for numpyro at /run/agent/1 by ab") == f"401 for {HIDDEN} at /run/agent/1 by ab"
    assert public({"x": "numpyro", "y": "bayesrun.samplers.numpyro"}) == {"x": HIDDEN, "y": "bayesrun.samplers.numpyro"}


def test_what_a_config_was_given_is_in_no_message():
    keep_to_oneself({"model": {"password": "open sesame", "items": [{"api_key": "k-123456"}]}, "n_key": "short"})
    assert without_secrets("open sesame, k-123456, short") == f"{HIDDEN}, {HIDDEN}, short"


def test_other_values_stay_as_they_are():
    config = {"password": None, "token": 3, "keys": ("a", "b"), "n": [1.5, True], "path": "a.csv"}
    assert public(config) == config

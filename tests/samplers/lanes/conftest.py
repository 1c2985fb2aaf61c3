"""Compiled programs of these tests are kept in a folder of their own, and counted for those that ask."""

import jax
import pytest

from bayesrun.samplers.lanes.engine import prepare_jax


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep JAX's compilation cache out of the developer's home, and put the settings back at the end."""
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {name: getattr(jax.config, name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAYESRUN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="session")
def double_precision(compilation_cache: None) -> None:
    """JAX set as before every fit, for tests that use it without one."""
    prepare_jax()


@pytest.fixture(scope="module")
def quick_compilation(compilation_cache: None):
    """Each program is run a few times only, so that compiling it well would cost more than it saves."""
    prepare_jax()
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def compilations(monkeypatch):
    """Seconds of each compilation by XLA during the test.

    A fleet stays as wide as it was planned: whether a narrower one is compiled when few chains are left is decided by
    the clock.
    """
    monkeypatch.setattr("bayesrun.samplers.lanes.fleet._Fleet.narrow", lambda fleet: None)
    seen = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listener)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listener)

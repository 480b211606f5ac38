"""What every test shares: the CPU, checked shapes, and where real data lies."""

import gc
import importlib.metadata
import os
import pathlib
import signal

# Before jax is imported; a machine with a GPU may say JAX_PLATFORMS=cuda instead.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# A GPU may otherwise multiply float32 with ten bits.
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
# Compiling takes most of the time, LLVM's optimizations a third of that, and before jax
# 0.11 the fusions' second pipeline a third of the rest. CI's run against PyTorch has
# them: XLA_FLAGS=--xla_backend_optimization_level=3
if "xla_backend_optimization_level" not in os.environ.get("XLA_FLAGS", ""):
    # One module for LLVM each, as most programs are too small to share out.
    quick = "--xla_backend_optimization_level=0"
    quick += " --xla_cpu_parallel_codegen_split_count=1"
    # Later versions know no such flag, and end at one they do not know.
    if importlib.metadata.version("jaxlib").startswith("0.10."):
        quick += " --xla_cpu_use_fusion_emitters=false"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quick}".strip()

import jaxtyping
import pytest

# PEP 484 lets an int stand where a float is wanted.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"

# A background job ignores Ctrl-C, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The shapes in the operators' signatures are checked at every call that a test makes.
# It has to be in place before anything imports cnnlab.ops.
jaxtyping.install_import_hook("cnnlab.ops", CHECKER)


def pytest_collection_finish():
    """Spares the garbage collector what lives as long as the tests: all the modules."""
    gc.collect()
    gc.freeze()
    # Tracing makes many objects, and few cycles.
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture
def unchecked():
    """Calls reach the operators themselves, as they do outside of tests.

    A checked signature would refuse many a bad call before the operator can.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """The folder of prepared TFDS data sets that CNNLAB_TEST_DATA names."""
    if not os.environ.get("CNNLAB_TEST_DATA"):
        pytest.skip("CNNLAB_TEST_DATA is not set: no real data")
    return pathlib.Path(os.environ["CNNLAB_TEST_DATA"])

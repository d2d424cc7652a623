"""How programs are compiled on each backend, and kept on disk, so that the next process need not compile them again."""

import os
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Of XLA. On a GPU, products go to cuBLAS and fusions are emitted as they come, instead of several versions of each being compiled and timed;
# and of the ways to convolve only those are tried that give the same sums every time: the same patients give the same weights.
OPTIONS: dict[str, dict[str, Any]] = {
    "gpu": {"xla_gpu_enable_triton_gemm": False, "xla_gpu_experimental_enable_fusion_autotuner": False, "xla_gpu_exclude_nondeterministic_ops": True}
}

SHARED = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
    "jax_persistent_cache_enable_xla_caches",
    "jax_disable_most_optimizations",
)


def compiled(function: Callable[P, R], *, static: tuple[str, ...]) -> Callable[P, R]:
    """Compile a function with jax.jit and the options of the backend, which is asked for at the first call: importing a module starts no backend.

    Parameters
    ----------
    function
        Pure, of arrays.
    static
        Names of the arguments that are compiled in.

    Returns
    -------
    the compiled function
        To be called with the same arguments.
    """

    @cache
    def program() -> Callable[P, R]:
        import jax

        program: Callable[P, R] = jax.jit(function, static_argnames=static, compiler_options=OPTIONS.get(jax.default_backend()))
        return program

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return program()(*args, **kwargs)

    return run


def keep_compiled(folder: Path, *, min_seconds: float) -> None:
    """Keep compiled programs on disk, for this process and later ones.

    Parameters
    ----------
    folder
        Made when it is missing; one folder may serve several processes. Must be set before the first compilation.
    min_seconds : seconds
        Programs that took longer to compile than this are kept.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    Path(folder).mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", min_seconds)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")  # their folder is part of the key: in a home that was moved nothing was found again
    compilation_cache.reset_cache()  # jax settles on "no cache" at the first compilation; this lets it look again


def one_thread() -> None:
    """Let JAX compute with one thread on a CPU, for as long as this process lives; a GPU is not touched.

    A sum that several threads share has another last bit for every number of threads, and a training makes a visible difference of it. XLA settles on
    its threads when the backend is made, so this must come before anything else uses JAX; later it changes nothing.
    """
    import jax

    before = os.environ.get("NPROC")
    os.environ["NPROC"] = "1"  # what XLA takes for the number of processors
    try:
        jax.devices()
    finally:
        if before is None:
            del os.environ["NPROC"]
        else:
            os.environ["NPROC"] = before


def compiler_settings() -> Mapping[str, Any]:
    """Return what this process was told of compiling (see `keep_compiled`), for another process to `take_over`."""
    import jax

    return {name: jax.config.values[name] for name in SHARED}


def take_over(settings: Mapping[str, Any]) -> None:
    """Compile, and keep what was compiled, as the process whose `compiler_settings` these are."""
    import jax

    for name, value in settings.items():
        jax.config.update(name, value)

"""How programs are compiled on each backend, and kept on disk, so that the next process need not compile them again."""

from collections.abc import Callable
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
    compilation_cache.reset_cache()  # jax settles on "no cache" at the first compilation; this lets it look again

"""Compiled programs kept on disk, so that the next process need not compile them again."""

from pathlib import Path


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

"""What the commands do, from Python: frames in and out, over the same functions. Users import these names from `penumbra` itself."""

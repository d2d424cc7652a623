"""Measurements on real patients: what the engines cost, and how far they agree. Run as `python -m penumbra.bench.<name>`."""

"""The center-arrival protocol."""

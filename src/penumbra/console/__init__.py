"""The web console: pages over the same functions as the commands, for people who would rather look than type."""

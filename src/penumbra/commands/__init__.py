"""What the commands of `penumbra` do: one file per command, which returns what the command line prints."""

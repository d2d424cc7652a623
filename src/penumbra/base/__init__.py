"""What every package may use: refusals, parameters, progress, tables, processes, temporary files."""

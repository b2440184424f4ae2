"""The commands: arguments in, lines or JSON out, exit codes for scripts (the table is in the README)."""

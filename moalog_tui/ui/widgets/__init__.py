"""The panels: each shows what it is given and posts what the operator wants."""

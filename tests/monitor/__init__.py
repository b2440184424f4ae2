"""The monitor, fed with plain functions that give values, on a clock that only waiting moves."""

"""Figures, printed and never asserted: time to paint, bytes to the terminal, CPU, key latency, memory."""

"""The lab: the whole platform on a real Docker Engine of its own (`make lab-up`)."""

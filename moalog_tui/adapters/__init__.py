"""One module for each system outside. Here alone are clients imported, deadlines set and errors named."""

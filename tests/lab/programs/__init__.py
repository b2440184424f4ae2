"""What runs inside the lab's containers: Debian's python3 and the standard library alone."""

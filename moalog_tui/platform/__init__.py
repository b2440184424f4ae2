"""Pure values and rules of the platform: the standard library alone, no `await`, no client."""

"""Running a plan: one at a time for each service, with waits and a verdict."""

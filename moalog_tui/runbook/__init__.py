"""The runbook: Markdown to scenarios, actions to plans. Pure: no `await`, no client."""

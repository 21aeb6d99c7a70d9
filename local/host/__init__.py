"""A local Azure Functions host for Python 3.13: HTTP, timers and Durable Functions 1.x on SQLite."""

"""Durable Functions 1.x (azure-functions-durable 1.7, the out-of-process JSON protocol) on one SQLite file."""

"""The business processes. Deterministic: no clock but the context's, no ids but derived ones, no I/O, no settings."""

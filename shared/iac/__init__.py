"""How infrastructure is planned and applied: one port, an adapter for each engine."""

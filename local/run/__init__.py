"""The demonstration: `make run` orders an application and tells the truth about what happens."""

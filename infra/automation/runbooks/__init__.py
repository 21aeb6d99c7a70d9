"""Runbooks of Azure Automation: each file is one, and runs alone, in Python 3.10 without packages."""

"""The program that infrastructure pipelines run: Terraform with a plan that is saved, digested and redacted.

Standard library and the Terraform CLI only, Python 3.11 or later: it runs as it is on a GitHub runner, in a container
job and on a desk. What it leaves behind is in ``artefacts``; what it needs from outside is in ``settings``.
"""

"""The register: what the App Store knows. Azure Table Storage, one partition per application.

Within a partition several rows change together or not at all, so a state, the decision that caused it and the audit
entry that tells of it can never disagree.
"""

"""Ansible's templates: what ansible-core 2.19 makes of the same text is the oracle of its tests."""

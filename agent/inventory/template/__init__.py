"""Ansible's templates. The oracle of the tests is ansible-core 2.19 with the same texts."""

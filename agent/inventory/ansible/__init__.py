"""Ansible's inventory grammar; ``ansible-inventory --list`` is the oracle of its tests."""

"""Flex statements and a Flex server of our own, for tests."""

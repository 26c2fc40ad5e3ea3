"""Interactive Brokers: the Flex Web Service and its statements."""

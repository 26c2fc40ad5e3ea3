"""What is known of the world beside the brokers: the days on which exchanges trade."""

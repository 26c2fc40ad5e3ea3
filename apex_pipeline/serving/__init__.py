"""What is known last, told over HTTP on this machine to whoever only reads."""

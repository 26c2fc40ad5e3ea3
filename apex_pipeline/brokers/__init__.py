"""The only room that knows a broker's words; one folder per broker, none imports another."""

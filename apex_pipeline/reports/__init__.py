"""Tables for people: what was loaded, what it means, what does not agree."""

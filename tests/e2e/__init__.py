"""What people see, in a real Chromium: the page of a running demo with planted faults, and its report."""

"""The ticks of schedules, and what is kept of them. Pure."""

"""Pure functions of users' data, run in processes of their own with limits of time and memory."""

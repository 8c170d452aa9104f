"""Progress lines, locks of output folders and notes of commands."""

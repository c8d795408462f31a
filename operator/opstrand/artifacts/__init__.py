"""The files that runs leave behind: in a folder on the volume of the API, or in a bucket."""

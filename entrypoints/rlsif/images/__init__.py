"""Building and inspecting the images. Runs on the host, with Python 3.9 or later."""

"""Small programs to copy from, and images to try things on."""

"""Reading image files into checked RGB."""

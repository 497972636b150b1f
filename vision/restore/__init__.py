"""The pixel stage: what noise took away from the picture, restored in closed form."""

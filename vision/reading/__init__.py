"""Files to checked RGB: the one door for pixels."""

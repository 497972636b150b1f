"""The prototype bank: what the file holds, and its checks when it is loaded."""

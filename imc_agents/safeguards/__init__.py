"""What a repair of a question may never change, and what a question may be."""

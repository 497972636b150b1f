"""What is computed from answers: scores, distances, intervals."""

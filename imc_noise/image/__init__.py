"""Image noises, one file per physics: detector quanta, k-space, smooth fields."""

"""What a round costs the model owner's process: seconds, CPU and memory, by weights and data owners."""

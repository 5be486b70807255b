"""Where predictions wait for their labels, and what a label makes of a prediction."""

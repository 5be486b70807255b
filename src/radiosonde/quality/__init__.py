"""How good the answers were, from windows alone: pure functions, with and without labels."""

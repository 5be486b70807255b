"""The agent: drains the rings of all processes in a spool, stores and exports for them. No model server imports it."""

"""The public functions, and the session that binds them to the pipeline of the process."""

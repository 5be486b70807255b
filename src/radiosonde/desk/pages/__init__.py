"""The pages of the desk: each a function from the board and the query to the values of its template."""

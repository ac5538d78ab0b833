"""The commands: a row and a handler each, the sessions they run in and the executor that runs them."""

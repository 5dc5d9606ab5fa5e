"""The command line `mbrl-taskmet`."""

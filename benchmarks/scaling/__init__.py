"""What each rank pays as ranks and samples become many, measured with pretended ranks on one machine."""

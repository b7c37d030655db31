"""The parts of `make gpu` (`benchmarks/gpu.sh`): each is a command that writes its facts as it finds them."""

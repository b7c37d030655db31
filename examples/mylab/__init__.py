"""A laboratory's own package: the project does not know it, a configuration names it (`plugins: [mylab.emotion]`)."""

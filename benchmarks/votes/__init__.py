"""Training on votes and on dimensions, on synthetic raters whose distributions and values are planted."""

"""What training on the raters' votes is worth, on raters whose distributions are known."""

"""Packing against a plain loop over the same decoders and encoders that writes with webdataset.ShardWriter."""

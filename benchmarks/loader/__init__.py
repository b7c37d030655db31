"""The loader compared with its peers, on the same clips, with the same decoding: `python -m benchmarks.loader`.

MosaicML Streaming is no dependency of the project: `pip install --no-deps --target DIR mosaicml-streaming brotli
python-snappy cramjam zstd xxhash catalogue`, then PYTHONPATH=DIR. Without it its rows are left out.
"""

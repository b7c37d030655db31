"""The loader compared with its peers, on the same clips, with the same decoding: `python -m benchmarks.loader`.

MosaicML Streaming, LitData and SPDL are no dependencies of the project: `pip install --no-deps --target DIR
mosaicml-streaming brotli python-snappy cramjam zstd xxhash catalogue litdata lightning-utilities boto3 botocore
jmespath s3transfer spdl spdl-io spdl-core`, then PYTHONPATH=DIR. The rows of what is absent are left out. torchcodec is
not among them: the registry's builds load CUDA's libraries or an older torch, and do not load beside torch's build for
CPUs.
"""

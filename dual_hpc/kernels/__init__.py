"""The operations of DUAL that decide its speed: SDM, VDM and the alignment loss.

Each has a folder: `operation` is the public function, which checks its arguments and chooses an implementation;
`reference` is the definition in plain torch; `torch_*` run on every machine; `triton_*` are fused. SDM also has one
that is `parallel` in time. Turning kernels on or off changes nothing but speed and memory.

`dispatch` chooses at each call and imports Triton only when a Triton kernel is chosen: without Triton this package
needs torch alone. The Triton kernels are opt-in (`model.kernels=triton`) until they have been measured on the GPU at
hand: they are tested in the interpreter and by offline compilation, which says nothing about their speed.
"""

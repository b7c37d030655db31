"""Worker processes that read and decode micro-batches ahead of the training.

Why a pool of our own and not `torch.utils.data.DataLoader`: it survives decoders that crash or hang. Media libraries
are C code that meets damaged files: a segmentation fault ends a DataLoader and with it the job, a decoder that never
returns stops all ranks. Here a worker that dies is replaced and its work repeated; a sample that kills or hangs its
decoder twice becomes a blank row that is counted (`bad_samples`); and the stream of samples stays exact throughout.

    pool          supervises the workers: assigns jobs, returns results in order, replaces what dies
    worker        the program of one worker process: a reading thread and a decoding thread
    protocol      the messages between them; transfer sends them and the memory of a batch
    activity      what a worker is doing, in shared memory that can be read while it hangs and after it died
    crash_policy  whether a crash is blamed on the sample or on the machine
    source        the same micro-batches from a pool, or from this process
"""

"""Batch prediction: a released variant over data of any size, in its real runtime, in order, and resumable.

    data (csv parquet npy npz images) -> portions -> child processes -> chunks on the disk -> one file

`predicting.predict` is the workflow; `sources` cut data into portions; `decoding` and `scoring` work in the children.
"""

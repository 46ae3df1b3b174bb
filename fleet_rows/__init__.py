"""A user's rows as numbers: the one reading of tables and images that training and batch prediction share.

    file -> columns of Arrow -> float32 by the features of a release     csv_text, parquet_file, arrow_values, columns
    encoded image -> unsigned bytes in the form of the input             image_file

What a column is for, labels and vocabularies are the trainer's; portions and their resumption are the prediction's.
"""

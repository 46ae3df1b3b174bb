"""Where data come from: one adapter a kind of source, each giving a `trainer.data.dataset.Dataset`."""

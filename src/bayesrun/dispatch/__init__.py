"""Handing batches to workers: `serial` (here and now) and `ray` (tasks, as completed).

A dispatcher is one function: dispatch(batches, work, options) -> Iterator[Outcome], in completion order.
Whatever happens to a worker, every fit of every batch comes back as one outcome.
"""

"""The REST API, one module a resource; `router` puts them together.

Handler modules do without `from __future__ import annotations`: Litestar reads their annotations at run time.
"""

"""SQL expressions of a mapping as expressions over a site's rows, the same on every engine.

Each operation of ``terms.mapping_sql`` has one meaning here:

* A cast keeps the value or fails: ``'12'`` is 12, ``'12.5'`` is no bigint. Where it fails, the
  row is set aside; ``try_cast`` gives null instead. The same holds for whole numbers that grow
  beyond 64 bits, for ``floor`` of what has none, and for text that should be JSON and is not.
  Only the branch of a ``case``, ``if`` or ``coalesce`` that is taken counts.
* ``a / b`` is a double, null where b is 0. Numbers with a point are doubles.
* ``lower`` and ``upper`` change A to Z only, ``trim`` takes away spaces only; lengths and places
  are code points; ``concat`` leaves nulls out, ``||`` is null where either is.
* A time without a zone is UTC.
"""

from __future__ import annotations

from baserate.records.expressions.parts import Translated
from baserate.records.expressions.translator import translated

__all__ = ["Translated", "translated"]

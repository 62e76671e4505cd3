"""What the tests in virtual time share."""

from typing import Any

import pytest

from support.bulk import Bulk
from usertcp.testing import Impairment


@pytest.fixture
def bulks():
    """Makes networks that are freed after the test. Without a way back it has the delay alone."""
    made: list[Bulk] = []

    def make(forth: Impairment, back: Impairment | None = None, **options: Any) -> Bulk:
        made.append(Bulk(forth, back or Impairment(delay=forth.delay), **options))
        return made[-1]

    yield make
    for bulk in made:
        bulk.close()

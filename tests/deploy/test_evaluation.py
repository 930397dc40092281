"""Expressions over scrapes come to what Prometheus would make of them."""

import pytest

from tests.deploy.evaluation import Scrape, holds

FIRST = Scrape.of('up 1\nfailures_total{doing="append"} 2\nopen{endpoint="crm"} 0\n', at=0)
THEN = Scrape.of('up 0\nfailures_total{doing="append"} 3\nopen{endpoint="crm"} 1\nwaits 5\n', at=15)


@pytest.mark.parametrize(
    ("expression", "then"),
    [
        ("max by (namespace) (up) == 0", True),
        ("max by (namespace) (up) == 1", False),
        ("sum by (namespace) (increase(failures_total[5m])) > 0", True),
        ("sum by (namespace) (increase(failures_total[5m])) > 1", False),
        ("sum by (namespace) (increase(failures_total[10s])) > 0", False),
        ('max by (endpoint) (open{endpoint="crm"}) >= 1', True),
        ('max by (endpoint) (open{endpoint="audit"}) >= 0', False),
        ("up == 1 or up == 0 and waits > 4", True),
        ("up == 1 or up == 0 and waits > 5", False),
        ("waits > 4 unless up == 0", False),
        ("missing == 0", False),
    ],
)
def test_an_expression_holds_or_not(expression, then):
    assert holds(expression, [FIRST, THEN]) is then

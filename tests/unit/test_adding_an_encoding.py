"""The encoding that docs/adding-an-encoding.md writes does what the page says of it."""

import re
from typing import Any

import pytest
import torch
from project import ROOT

SIGMA = 0.05


@pytest.fixture(scope="module")
def encoding() -> Any:
    page = (ROOT / "docs/adding-an-encoding.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # our own page
    return lambda in_dim, features: namespace["RaisedCosine"](in_dim, sigma=SIGMA, features=features)


def test_its_similarity_is_that_of_many_features(encoding: Any) -> None:
    apart = torch.linspace(-0.15, 0.15, 61, dtype=torch.float64)
    many = encoding(1, 4096)
    features = many(0.5 + apart[:, None])
    middle = many(torch.tensor([0.5], dtype=torch.float64))
    found = features @ middle / (middle @ middle)
    # Sums over 4,096 centres of products with three continuous derivatives.
    torch.testing.assert_close(many.closed_similarity(apart), found, atol=1e-6, rtol=0)
    assert float(many.closed_similarity(torch.zeros(1))) == pytest.approx(1)


@pytest.mark.parametrize("samples", [8, 256])
def test_its_stable_rank_is_that_of_many_features(encoding: Any, samples: int) -> None:
    many = encoding(1, 2048)
    points = (torch.arange(samples, dtype=torch.float64)[:, None] + 0.5) / samples
    singular = torch.linalg.svdvals(many(points))
    found = float(singular.square().sum() / singular[0] ** 2)
    # Close to the ends points have fewer centres within reach, which costs a few per cent where there are any there.
    assert many.closed_rank(samples) == pytest.approx(found, rel=0.03)


def test_features_of_an_axis_depend_on_it_alone(encoding: Any) -> None:
    plane = encoding(2, 33)
    assert plane.out_dim == 32
    points = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    moved = points + torch.tensor([0.2, 0.0])
    first, second = plane.axis_columns()
    assert torch.equal(plane(points)[:, second], plane(moved)[:, second])
    assert not torch.equal(plane(points)[:, first], plane(moved)[:, first])
    assert plane(points).dtype == torch.float32
